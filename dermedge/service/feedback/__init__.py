"""Opinions of readers before and after the model's answer: the file that keeps them, the addresses that take them."""
