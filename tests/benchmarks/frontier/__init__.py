"""What accuracy costs in arithmetic: networks of many architectures, trained, judged and timed alike."""
