"""What becomes of forget requests when processes, disks, networks and clocks fail: `lethe bench chaos`."""
