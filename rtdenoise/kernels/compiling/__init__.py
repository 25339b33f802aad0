"""What kernels need of the compiler, imported only where something is compiled."""
