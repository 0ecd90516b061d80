"""`framewatch bench`: what rate this machine holds, and how soon each frame is judged at half of it."""
