//! Where there is no compiler for the processor: the step function makes every step.

use std::sync::Arc;

use crate::image::Image;
use crate::memory::{Memory, MemoryError};

/// What was compiled of an image: nothing.
#[derive(Clone, Debug, Default)]
pub struct Compiled;

/// The compiled code of one image. There is none.
#[derive(Debug)]
pub enum Jit {}

impl Compiled {
    /// The image's compiled code.
    pub fn of(_: &Image) -> Option<Arc<Jit>> {
        None
    }
}

impl Jit {
    /// Makes up to `most` steps, and says how many.
    pub fn run(&self, _: &mut Memory, _: u64, _: bool) -> Result<u64, MemoryError> {
        match *self {}
    }
}
