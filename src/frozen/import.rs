//! Frozen variables of Flax checkpoints.
//!
//! A checkpoint that was flattened to names with `/` between their parts comes in, and what its `aqt` collection keeps for
//! one layer goes out; with an equation and a configuration that makes a frozen operand. The collection says neither, so
//! whatever contradicts them is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{self, Tensor, TensorDtype, TensorHeader};
use crate::lower::{Orientation, Plan, Side};
use crate::parse::Ast;
use crate::quant::QuantConfig;
use crate::span::printable_text;

use super::file::{Stored, file_error, scale_dtype, value_dtype};
use super::freeze::site;
use super::place::Place;
use super::{Frozen, call};

/// The collection of a checkpoint that has the frozen variables, where names begin with collections.
const COLLECTION: &str = "aqt";
/// Layers that a message lists before it only counts.
const LISTED: usize = 8;

/// What a Flax checkpoint keeps of a layer that was converted for serving: integers and scales of one or both operands of
/// a `QDotGeneral`.
///
/// [`QEinsum::import`](crate::QEinsum::import) makes a [`Frozen`] operand of it.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{io, DotGeneralConfig, Dtype, FlaxLayer, FrozenValues, QEinsum, Side};
/// // Twelve bits, so that the integers are floats, which can be written here; those of Flax are int8 up to eight bits.
/// let dense = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().fwd_bits(Some(12)).build()?);
/// let w = array![[0.5_f32, 1.0], [0.25, -1.0]];
/// let shapes: [&[usize]; 2] = [&[1, 2], &[2, 2]];
/// let frozen = dense.freeze(1, &w, &shapes, None)?;
/// let FrozenValues::Float(value) = frozen.values() else { unreachable!() };
///
/// let path = std::env::temp_dir().join(format!("qeinsum-flax-doc-{}.safetensors", std::process::id()));
/// let (value, scale) = (value.clone().into(), frozen.inverse_scale().into());
/// let names = ["aqt/dense/QDotGeneral_0/qrhs/value", "aqt/dense/QDotGeneral_0/qrhs/scale"];
/// io::save_tensors(&path, &[(names[0], &value), (names[1], &scale)], &Default::default())?;
///
/// let layer = FlaxLayer::load(&path, "dense/QDotGeneral_0")?;
/// assert_eq!((layer.shape(Side::Lhs), layer.shape(Side::Rhs)), (None, Some(&[2, 2][..])));
/// assert_eq!(layer.scale_dtype(), Some(Dtype::F32));
/// assert_eq!(dense.import(1, &layer, &shapes, Dtype::F32)?, frozen);
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[doc(alias("aqt", "Freezer"))]
pub struct FlaxLayer {
    checkpoint: PathBuf,
    name: String,
    lhs: Option<Variables>,
    rhs: Option<Variables>,
}

/// The variables of a side, by their names in the checkpoint and what its headers say.
#[derive(Clone, PartialEq, Debug)]
struct Variables {
    value: (String, TensorHeader),
    scale: (String, TensorHeader),
}

impl FlaxLayer {
    /// Finds a layer in a checkpoint that was flattened to an `.npz` archive or a `.safetensors` file; its arrays are read
    /// when an operand is made of them.
    ///
    /// The names there are `LAYER/qlhs/value`, `LAYER/qlhs/scale`, `LAYER/qrhs/value` and `LAYER/qrhs/scale`, or the same
    /// after `aqt/`. A `scale` is one over the scale of calibration, in the layout of the call's result. An error where the
    /// file cannot be read, or has neither side of the layer.
    pub fn load(checkpoint: impl AsRef<Path>, layer: &str) -> Result<Self> {
        let path = checkpoint.as_ref();
        let layer = layer.trim_matches('/');
        let names = io::names(path)?;
        let roots = [layer.to_owned(), joined(COLLECTION, layer)];
        let twice = |name: &str| {
            let name = printable_text(name, 80);
            Err(Error::new(
                ErrorKind::File,
                format!("the layer stands twice, with and without `{COLLECTION}/`: `{name}`"),
            ))
        };
        let load = |side: Side| -> Result<Option<Variables>> {
            let of = |variable: &str, root: &String| joined(root, &format!("{}/{variable}", variable_of(side)));
            let mut found = roots.iter().filter(|root| names.contains(&of("value", root)));
            let Some(root) = found.next() else { return Ok(None) };
            if found.next().is_some() {
                return twice(&of("value", root));
            }
            let header = |variable: &str| -> Result<(String, TensorHeader)> {
                let name = of(variable, root);
                let header = io::inspect_tensor(path, &name)?;
                Ok((name, header))
            };
            Ok(Some(Variables { value: header("value")?, scale: header("scale")? }))
        };
        let (lhs, rhs) = (load(Side::Lhs)?, load(Side::Rhs)?);
        let found = Self { checkpoint: path.to_owned(), name: layer.to_owned(), lhs, rhs };
        if found.lhs.is_none() && found.rhs.is_none() {
            let message = format!("no frozen variables of a layer `{}`{}", printable_text(layer, 80), listed(&names));
            let file = printable_text(&path.to_string_lossy(), 80);
            return Err(Error::new(ErrorKind::File, message).within(&format!("`{file}`")));
        }
        Ok(found)
    }

    /// The shape of the operand that was frozen on a side, the sides being those of the equation as it is written; none
    /// where that side was not frozen.
    pub fn shape(&self, side: Side) -> Option<&[usize]> {
        self.of(side).map(|variables| variables.value.1.shape.as_slice())
    }

    /// The type that the scales are stored as: that of the operands, or f32 where the bounds are constant.
    pub fn scale_dtype(&self) -> Option<Dtype> {
        match self.lhs.as_ref().or(self.rhs.as_ref())?.scale.1.dtype {
            TensorDtype::F32 => Some(Dtype::F32),
            TensorDtype::F16 => Some(Dtype::F16),
            TensorDtype::Bf16 => Some(Dtype::Bf16),
            TensorDtype::I8 | TensorDtype::U8 => None,
        }
    }

    fn of(&self, side: Side) -> Option<&Variables> {
        side.of(self.lhs.as_ref(), self.rhs.as_ref())
    }
}

/// The operand that a layer keeps, for a plan and a configuration.
pub(crate) fn import(
    ast: &Ast,
    plan: Arc<Plan>,
    config: Arc<QuantConfig>,
    operand: usize,
    layer: &FlaxLayer,
    dtype: Dtype,
) -> Result<Frozen> {
    let (entry, own) = site(&plan, &config, operand, dtype)?;
    // A variable is named after the side that its operand was given on, whichever side the call then has it on.
    let written = match call(&plan, entry).1 {
        Orientation::AsWritten => entry.side,
        Orientation::Swapped => entry.side.of(Side::Rhs, Side::Lhs),
    };
    let name = printable_text(&layer.name, 80);
    let Some(variables) = layer.of(written) else {
        let message = format!("operand {operand} is the {written}, but layer `{name}` keeps no frozen {written}");
        return Err(Error::new(ErrorKind::Freeze, message));
    };
    let refused = |error: Error| {
        let within = format!("layer `{name}`, `{}`", variable_of(written));
        error.within(&within)
    };
    // What the headers say is compared before anything is read.
    let (value, scale) = (&variables.value.1, &variables.scale.1);
    let expected = plan.value(entry.value).shape();
    if value.shape != expected {
        let message = format!("`value` has shape {:?}, but the operand enters its call with {expected:?}", value.shape);
        return Err(refused(file_error(&message)));
    }
    if scale.elements() > value.elements().max(1) {
        let message = format!("`scale` has shape {:?}, which is more than one for each value", scale.shape);
        return Err(refused(file_error(&message)));
    }
    let [value, scale] = [&variables.value, &variables.scale].map(|(name, _)| io::load_tensor(&layer.checkpoint, name));
    let value = narrowed(value?, own.int().map_or(TensorDtype::F32, |&int| value_dtype(&own, int, dtype)));
    let stored = Stored { value, scale: narrowed(scale?, scale_dtype(&own, dtype)), packed: false };
    let side = stored.side(&plan, &config, entry, dtype).map_err(refused)?;
    let (equation, syntax) = (ast.to_string(), ast.syntax());
    Ok(Frozen { place: Place { equation, syntax, plan, operand, entry, config, dtype }, side })
}

/// A float tensor in a narrower type where every value of it is one of that type: an `.npz` archive has no bf16, and the
/// original stores values that are floats as binary32.
fn narrowed(tensor: Tensor, to: TensorDtype) -> Tensor {
    let narrow = |value: f32| match to {
        TensorDtype::F16 => Some(f16::from_f32(value)).filter(|half| half.to_f32() == value).map(f16::to_le_bytes),
        TensorDtype::Bf16 => Some(bf16::from_f32(value)).filter(|half| half.to_f32() == value).map(bf16::to_le_bytes),
        TensorDtype::F32 | TensorDtype::I8 | TensorDtype::U8 => None,
    };
    if tensor.dtype != TensorDtype::F32 {
        return tensor;
    }
    let values = tensor.bytes.as_chunks().0.iter().map(|&bytes| narrow(f32::from_le_bytes(bytes)));
    match values.collect::<Option<Vec<[u8; 2]>>>() {
        Some(values) => Tensor { dtype: to, bytes: values.concat(), ..tensor },
        None => tensor,
    }
}

fn variable_of(side: Side) -> &'static str {
    side.of("qlhs", "qrhs")
}

fn joined(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") }
}

/// The layers that are there, for a message.
fn listed(names: &[String]) -> String {
    let layers: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix("/value")?.rsplit_once('/'))
        .filter(|(_, variable)| [Side::Lhs, Side::Rhs].map(variable_of).contains(variable))
        .map(|(layer, _)| layer.strip_prefix("aqt/").unwrap_or(layer))
        .collect();
    if layers.is_empty() {
        return "; the file has none of any layer".to_owned();
    }
    let shown: Vec<String> =
        layers.iter().take(LISTED).map(|layer| format!("`{}`", printable_text(layer, 80))).collect();
    let more = layers.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; there are {}{more}", shown.join(", "))
}
