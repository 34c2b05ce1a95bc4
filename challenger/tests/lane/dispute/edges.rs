//! Single situations: what is due, and what is not.
