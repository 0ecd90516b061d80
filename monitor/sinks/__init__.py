"""Where alarm changes go beside the PUB socket: each sink at its own pace, at least once, in order."""
