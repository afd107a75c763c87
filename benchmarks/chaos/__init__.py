"""What happens to forget requests when processes, disks, networks and clocks fail: `lethe bench chaos`."""
