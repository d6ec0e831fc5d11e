//! Operands that were quantized before: files of our own, and layers of Flax checkpoints.

use ndarray::ArrayD;
use qeinsum::{DotGeneralConfig, Dtype, Element, FlaxLayer, Frozen, Key, OperandView, QEinsum, Syntax};

use super::choices::Generator;
use super::sound;

/// The first byte says what the others are: a frozen operand, or a checkpoint in one of two formats.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&kind, content)) = bytes.split_first() else { return };
    match kind {
        b'f' => match Frozen::from_bytes(content) {
            Ok(frozen) => accepted(&frozen),
            Err(error) => sound::error(&error),
        },
        b's' => checkpoint("a.safetensors", content),
        b'z' => checkpoint("a.npz", content),
        _ => {}
    }
}

/// What is accepted is written as it was read, and runs where its plan has it.
fn accepted(frozen: &Frozen) {
    let bytes = frozen.to_bytes().unwrap();
    let again = Frozen::from_bytes(&bytes).unwrap();
    assert!(again.to_bytes().unwrap() == bytes);
    let extents = frozen.plan().equation().labels().map(|label| frozen.plan().sizes().extent(label).max(1));
    if extents.fold(1, usize::saturating_mul) > 1 << 12 {
        return;
    }
    match frozen.dtype() {
        Dtype::F32 => runs::<f32>(frozen),
        Dtype::F16 => runs::<half::f16>(frozen),
        Dtype::Bf16 => runs::<half::bf16>(frozen),
        other => panic!("{other} is not quantized"),
    }
}

fn runs<T: Element>(frozen: &Frozen) {
    let qe = match frozen.syntax() {
        Syntax::Compact => QEinsum::new(frozen.equation()),
        Syntax::Named => QEinsum::named(frozen.equation()),
    };
    let qe = qe.unwrap().with_config(frozen.config().clone()).with_path(frozen.plan().path().clone());
    let mut generator = Generator::new(1);
    let operands: Vec<ArrayD<T>> =
        frozen.plan().sizes().shapes().iter().map(|shape| generator.fractions(shape)).collect();
    let views: Vec<OperandView<'_, T>> = operands
        .iter()
        .enumerate()
        .map(
            |(at, operand)| {
                if at == frozen.operand() { OperandView::Frozen(frozen) } else { OperandView::Array(operand.view()) }
            },
        )
        .collect();
    match qe.run_with_key(views, Key::new(1)) {
        Ok(out) => assert_eq!(out.shape(), frozen.plan().value(frozen.plan().output()).shape()),
        Err(error) => sound::error(&error),
    }
}

fn checkpoint(name: &str, content: &[u8]) {
    sound::with_file(name, content, |path| {
        let layer = match FlaxLayer::load(path, "dense") {
            Ok(layer) => layer,
            Err(error) => return sound::error(&error),
        };
        for (bits, dtype) in [(8, Dtype::F32), (4, Dtype::Bf16), (12, Dtype::F16)] {
            let config = DotGeneralConfig::v4().fwd_bits(Some(bits)).build().unwrap();
            let qe = QEinsum::new("ij,jk->ki").unwrap().with_config(config);
            for operand in 0..2 {
                match qe.import(operand, &layer, &[&[2, 3], &[3, 2]], dtype) {
                    Ok(frozen) => accepted(&frozen),
                    Err(error) => sound::error(&error),
                }
            }
        }
    });
}
