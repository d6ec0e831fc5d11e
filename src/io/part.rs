//! A part of an array: of a file only those bytes are read that hold it.
//!
//! Comes in: an open file at its first element, how elements lie in it, and a range of indices along each axis. Goes out: the
//! array of these indices.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;

use half::{bf16, f16};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use num_complex::Complex;

use super::array::{AnyArray, Header, each};
use super::elements::{Element, Layout, MemoryOrder, append};
use super::error::FileError;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind};

/// An error where an array has other axes than a part has ranges, or one goes beyond its axis.
pub(super) fn check_part(name: &str, header: &Header, part: &[Range<usize>]) -> Result<(), Error> {
    let shape = &header.shape;
    let fits = |(range, size): (&Range<usize>, &usize)| range.start <= range.end && range.end <= *size;
    if part.len() == shape.len() && part.iter().zip(shape).all(fits) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Shape, format!("`{name}` has shape {shape:?}, of which {part:?} is no part")))
}

/// Reads the elements of a part, whose ranges are those of the array's axes.
pub(super) fn read_part(
    file: &mut BufReader<File>,
    layout: &Layout,
    part: &[Range<usize>],
) -> Result<AnyArray, FileError> {
    Ok(match layout.header.dtype {
        Dtype::F32 => AnyArray::F32(read_as::<f32>(file, layout, part)?),
        Dtype::F64 => AnyArray::F64(read_as::<f64>(file, layout, part)?),
        Dtype::F16 => AnyArray::F16(read_as::<f16>(file, layout, part)?),
        Dtype::Bf16 => AnyArray::Bf16(read_as::<bf16>(file, layout, part)?),
        Dtype::C32 => AnyArray::C32(read_as::<Complex<f32>>(file, layout, part)?),
        Dtype::C64 => AnyArray::C64(read_as::<Complex<f64>>(file, layout, part)?),
    })
}

/// The part of an array that is there.
pub(super) fn part_of(array: &AnyArray, part: &[Range<usize>]) -> AnyArray {
    each!(array, array => {
        let mut view = array.view();
        for (axis, range) in part.iter().enumerate() {
            view.slice_axis_inplace(Axis(axis), Slice::from(range.clone()));
        }
        view.to_owned().into()
    })
}

/// How many bytes of a part lie in the file without a gap.
pub(super) fn run_bytes(layout: &Layout, part: &[Range<usize>]) -> u64 {
    Run::take(&mut axes_of(layout, part)).length as u64 * layout.header.dtype.bytes() as u64
}

/// The axes of a part, from the one that goes slowest through the file to the one that goes fastest.
fn axes_of(layout: &Layout, part: &[Range<usize>]) -> Vec<(usize, Range<usize>)> {
    let mut axes: Vec<(usize, Range<usize>)> = layout.header.shape.iter().copied().zip(part.iter().cloned()).collect();
    if layout.memory_order == MemoryOrder::Fortran {
        axes.reverse();
    }
    axes
}

/// Elements of a part between which there is no gap.
struct Run {
    start: usize,
    length: usize,
}

impl Run {
    /// Takes the axes that such a run goes along: those at the end that are whole, and the last one that is not.
    fn take(axes: &mut Vec<(usize, Range<usize>)>) -> Self {
        let mut run = Self { start: 0, length: 1 };
        while let Some((size, range)) = axes.pop() {
            run.start = range.start * run.length;
            run.length *= range.len();
            if range.len() < size {
                break;
            }
        }
        run
    }
}

fn read_as<T: Element>(
    file: &mut BufReader<File>,
    layout: &Layout,
    part: &[Range<usize>],
) -> Result<ArrayD<T>, FileError> {
    let mut axes = axes_of(layout, part);
    let shape: Vec<usize> = axes.iter().map(|(_, range)| range.len()).collect();
    let count: usize = shape.iter().product();
    let too_large = || FileError::Memory((count * T::BYTES) as u64);
    let mut values: Vec<T> = Vec::new();
    values.try_reserve_exact(count).map_err(|_| too_large())?;

    let Run { start, length: run } = Run::take(&mut axes);
    let unit =
        layout.header.shape.iter().product::<usize>() / axes.iter().map(|(size, _)| size).product::<usize>().max(1);
    let (mut index, mut at) = (vec![0; axes.len()], 0);
    while values.len() < count {
        let outer = axes.iter().zip(&index).fold(0, |all, ((size, range), index)| all * size + range.start + index);
        let next = outer * unit + start;
        file.seek_relative(((next - at) * T::BYTES) as i64).map_err(FileError::reading)?;
        append(file, &mut values, (run * T::BYTES) as u64, layout.byte_order)?;
        at = next + run;
        // The next one, the last axis first.
        for ((_, range), index) in axes.iter().zip(&mut index).rev() {
            *index += 1;
            if *index < range.len() {
                break;
            }
            *index = 0;
        }
    }
    let array = ArrayD::from_shape_vec(IxDyn(&shape), values);
    let array = array.map_err(|_| FileError::Overflow(layout.header.clone()))?;
    Ok(if layout.memory_order == MemoryOrder::Fortran { array.reversed_axes() } else { array })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::Array;

    use super::*;
    use crate::io::scratch::Scratch;
    use crate::io::{open, save, save_tensors};

    /// Every part of an array is that part of the whole, in every format and order.
    #[test]
    fn a_part_is_that_of_the_whole() {
        let scratch = Scratch::new("part");
        let whole: AnyArray =
            Array::from_iter((0..120).map(|at| at as f32)).into_shape_with_order(IxDyn(&[2, 5, 3, 4])).unwrap().into();
        let (c, fortran) = (scratch.path("c.npy"), scratch.path("f.npy"));
        save(&c, &whole).unwrap();
        // Those of the axes the other way round are the same bytes, column by column.
        let AnyArray::F32(array) = &whole else { unreachable!() };
        save(&fortran, &array.view().reversed_axes().as_standard_layout().into_owned().into()).unwrap();
        let header = String::from_utf8_lossy(&fs::read(&fortran).unwrap()[..128]).into_owned();
        let told = header
            .replace("'fortran_order': False, 'shape': (4, 3, 5, 2)", "'fortran_order': True,  'shape': (2, 5, 3, 4)");
        assert_ne!(header, told);
        let mut bytes = fs::read(&fortran).unwrap();
        bytes[10..128].copy_from_slice(&told.as_bytes()[told.len() - 118..]);
        fs::write(&fortran, bytes).unwrap();
        assert_eq!(open(&fortran).unwrap().read().unwrap(), whole);
        let tensors = scratch.path("t.safetensors");
        let other = AnyArray::from(Array::from_elem(IxDyn(&[7]), 1.0_f64));
        save_tensors(&tensors, &[("a", &other), ("b", &whole)], &std::collections::BTreeMap::new()).unwrap();
        let tensor = format!("{}:b", tensors.display());

        let ranges = |size: usize| (0..=size).flat_map(move |start| (start..=size).map(move |end| start..end));
        for first in ranges(2) {
            for second in ranges(5) {
                for [third, last] in [[0..3, 0..4], [1..3, 0..4], [0..3, 1..2], [2..2, 0..4], [1..2, 3..4]] {
                    let part = [first.clone(), second.clone(), third, last];
                    let expected = part_of(&whole, &part);
                    for file in [c.as_os_str(), fortran.as_os_str(), tensor.as_ref()] {
                        assert_eq!(open(file).unwrap().read_part(&part).unwrap(), expected, "{file:?} {part:?}");
                    }
                }
            }
        }
        for part in [&[0..2, 0..5, 0..3][..], &[0..2, 0..6, 0..3, 0..4]] {
            assert!(open(&c).unwrap().read_part(part).is_err());
        }
    }
}
