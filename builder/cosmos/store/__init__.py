"""The builder's store: verified bytes by their digest, small results by their key, and locks between processes."""
