"""The methods of the default policy's ladder: U-CAN, least change in the output layer, least change, the re-fit."""
