//! Trestle: the Layer 2 function.
