"""Studies on the other prompt styles: what each is fitted on, how small it is made, what it reads with."""
