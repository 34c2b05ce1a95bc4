//! Arithmetic: [`Alu::compute`] in Cranelift's words.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use crate::instruction::{Alu, Condition};

/// What two values give.
pub fn compute(builder: &mut FunctionBuilder<'_>, alu: Alu, a: Value, b: Value) -> Value {
    match alu {
        Alu::Add => builder.ins().iadd(a, b),
        Alu::Sub => builder.ins().isub(a, b),
        // Cranelift's shifts, too, take the lowest five bits.
        Alu::Sll => builder.ins().ishl(a, b),
        Alu::Srl => builder.ins().ushr(a, b),
        Alu::Sra => builder.ins().sshr(a, b),
        Alu::Slt => truth(builder, IntCC::SignedLessThan, a, b),
        Alu::Sltu => truth(builder, IntCC::UnsignedLessThan, a, b),
        Alu::Xor => builder.ins().bxor(a, b),
        Alu::Or => builder.ins().bor(a, b),
        Alu::And => builder.ins().band(a, b),
        Alu::Mul => builder.ins().imul(a, b),
        Alu::Mulh => upper_half(builder, (a, true), (b, true)),
        Alu::Mulhsu => upper_half(builder, (a, true), (b, false)),
        Alu::Mulhu => upper_half(builder, (a, false), (b, false)),
        Alu::Div | Alu::Divu | Alu::Rem | Alu::Remu => divide(builder, alu, a, b),
    }
}

/// How a condition is called there.
pub fn comparison(condition: Condition) -> IntCC {
    match condition {
        Condition::Eq => IntCC::Equal,
        Condition::Ne => IntCC::NotEqual,
        Condition::Lt => IntCC::SignedLessThan,
        Condition::Ge => IntCC::SignedGreaterThanOrEqual,
        Condition::Ltu => IntCC::UnsignedLessThan,
        Condition::Geu => IntCC::UnsignedGreaterThanOrEqual,
    }
}

/// 1 or 0.
fn truth(builder: &mut FunctionBuilder<'_>, comparison: IntCC, a: Value, b: Value) -> Value {
    let holds = builder.ins().icmp(comparison, a, b);
    builder.ins().uextend(I32, holds)
}

/// 64 bits that mean the same.
fn widen(builder: &mut FunctionBuilder<'_>, (value, signed): (Value, bool)) -> Value {
    if signed { builder.ins().sextend(I64, value) } else { builder.ins().uextend(I64, value) }
}

/// The upper 32 bits of a product; each factor with whether it is signed.
fn upper_half(builder: &mut FunctionBuilder<'_>, a: (Value, bool), b: (Value, bool)) -> Value {
    let (a, b) = (widen(builder, a), widen(builder, b));
    let product = builder.ins().imul(a, b);
    let upper = builder.ins().ushr_imm_u(product, 32);
    builder.ins().ireduce(I32, upper)
}

/// Quotient or remainder. The divisor that Cranelift sees is never 0, and in 64 bits no quotient overflows.
fn divide(builder: &mut FunctionBuilder<'_>, alu: Alu, a: Value, b: Value) -> Value {
    let zero = builder.ins().icmp_imm_u(IntCC::Equal, b, 0);
    let one = builder.ins().iconst(I32, 1);
    let divisor = builder.ins().select(zero, one, b);
    let result = if matches!(alu, Alu::Divu | Alu::Remu) {
        if alu == Alu::Divu { builder.ins().udiv(a, divisor) } else { builder.ins().urem(a, divisor) }
    } else {
        let (a, divisor) = (widen(builder, (a, true)), widen(builder, (divisor, true)));
        let wide = if alu == Alu::Div { builder.ins().sdiv(a, divisor) } else { builder.ins().srem(a, divisor) };
        builder.ins().ireduce(I32, wide)
    };
    let by_zero = if matches!(alu, Alu::Div | Alu::Divu) { builder.ins().iconst(I32, i64::from(u32::MAX)) } else { a };
    builder.ins().select(zero, by_zero, result)
}
