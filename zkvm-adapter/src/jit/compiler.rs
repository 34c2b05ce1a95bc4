//! Regions to executable memory, by Cranelift.

use cranelift_codegen::Context;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature};
use cranelift_codegen::isa::CallConv;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{Module, default_libcall_names};

use super::region::Region;
use super::translate::{Surroundings, translate};

/// Bytes of compiled code that an image may have.
const CODE_BYTES: usize = 64 << 20;

/// How to leave Rust: the region to start with, the address of memory, and the steps that may be made; gives back those
/// that were not.
pub type Enter = unsafe extern "C" fn(*const u8, *mut u8, i64) -> i64;

/// Makes code. What it made lives as long as it.
pub struct Compiler {
    /// There is one until it is dropped.
    module: Option<JITModule>,
    context: Context,
    functions: FunctionBuilderContext,
}

impl Compiler {
    /// A compiler for this processor, and what it made first; none if Cranelift does not know the processor.
    pub fn new() -> Option<(Self, Enter)> {
        let mut flags = settings::builder();
        let checked = if cfg!(debug_assertions) { "true" } else { "false" };
        for (name, value) in [
            ("opt_level", "speed"),
            ("enable_verifier", checked),
            ("regalloc_checker", checked),
            ("unwind_info", "false"),
            // Tail calls need them.
            ("preserve_frame_pointers", "true"),
            ("probestack_strategy", "inline"),
            ("is_pic", "false"),
            ("use_colocated_libcalls", "false"),
        ] {
            flags.set(name, value).ok()?;
        }
        let isa = cranelift_native::builder().ok()?.finish(settings::Flags::new(flags)).ok()?;
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        builder.memory_provider(Box::new(ArenaMemoryProvider::new_with_size(CODE_BYTES).ok()?));
        let module = JITModule::new(builder);
        let context = module.make_context();
        let mut compiler = Self { module: Some(module), context, functions: FunctionBuilderContext::new() };
        let enter = compiler.enter()?;
        // SAFETY: this is the function that `enter` makes, with the C calling convention and these parameters.
        Some((compiler, unsafe { std::mem::transmute::<*const u8, Enter>(enter) }))
    }

    /// What is executed from the start of a region on; none if there is no more room, or Cranelift refuses.
    pub fn compile(&mut self, region: &Region, surroundings: Surroundings<'_>) -> Option<*const u8> {
        let signature = region_signature();
        self.define(signature, |builder| translate(builder, region, surroundings))
    }

    /// The way from Rust's calling convention to that of regions, which can call each other in their place.
    fn enter(&mut self) -> Option<*const u8> {
        let mut signature = self.module.as_ref()?.make_signature();
        signature.params.extend([AbiParam::new(I64); 3]);
        signature.returns.push(AbiParam::new(I64));
        self.define(signature, |builder| {
            let block = builder.create_block();
            builder.append_block_params_for_function_params(block);
            builder.switch_to_block(block);
            let [region, memory, left] = *builder.block_params(block) else { return };
            let signature = builder.import_signature(region_signature());
            let call = builder.ins().call_indirect(signature, region, &[memory, left]);
            let left = builder.inst_results(call).to_vec();
            builder.ins().return_(&left);
        })
    }

    fn define(&mut self, signature: Signature, body: impl FnOnce(&mut FunctionBuilder<'_>)) -> Option<*const u8> {
        let module = self.module.as_mut()?;
        let function = module.declare_anonymous_function(&signature).ok()?;
        self.context.func.signature = signature;
        let mut builder = FunctionBuilder::new(&mut self.context.func, &mut self.functions);
        body(&mut builder);
        builder.seal_all_blocks();
        builder.finalize(module.target_config());
        let defined = module.define_function(function, &mut self.context);
        module.clear_context(&mut self.context);
        defined.ok()?;
        module.finalize_definitions().ok()?;
        Some(module.get_finalized_function(function))
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: pointers to its functions are in the table beside this compiler alone, which is being dropped with
            // it, so nobody executes them or will.
            unsafe { module.free_memory() };
        }
    }
}

/// The function of a region: the address of memory and the steps that may be made; gives back those that were not.
fn region_signature() -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.extend([AbiParam::new(I64); 2]);
    signature.returns.push(AbiParam::new(I64));
    signature
}
