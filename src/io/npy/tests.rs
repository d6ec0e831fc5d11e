//! Crafted `.npy` bytes: what must be refused, and with which words; what must be read, and as what.

use half::f16;
use ndarray::{Array, ArrayD, ShapeBuilder as _, arr0, arr1, arr2};
use num_complex::Complex;
use proptest::prelude::*;

use super::*;
use crate::io::elements::Supply;

/// A file of this version with this header text and these elements.
fn file(version: u8, text: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes()),
        _ => bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes()),
    }
    bytes.extend(text);
    bytes.extend(data);
    bytes
}

/// A file of version 1.0 with the usual header, but for its dtype and shape.
fn usual(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    file(1, format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n").as_bytes(), data)
}

/// Both ways in which a file is read: its length checked first, and as a stream.
fn read(bytes: &[u8]) -> Result<AnyArray, FileError> {
    let streamed = {
        let mut reader = bytes;
        Head::read(&mut reader).and_then(|head| elements::read(&mut reader, &head.layout, Supply::Stream))
    };
    let mut reader = bytes;
    let checked = Head::read(&mut reader).and_then(|head| {
        head.check_length(bytes.len() as u64)?;
        elements::read(&mut reader, &head.layout, Supply::Checked)
    });
    assert_eq!(checked.is_ok(), streamed.is_ok());
    checked
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).expect_err("must be refused").to_string()
}

#[test]
fn hostile_texts_are_refused() {
    let tests: &[(&str, &str)] = &[
        ("", "ends at byte 0, where `{`"),
        ("   \n", "ends at byte 4, where `{`"),
        ("[]", "`[` at byte 0, where `{`"),
        ("{", "ends at byte 1, where a key"),
        ("{}", "no `descr`"),
        ("{}{}", "`{` at byte 2, where nothing after"),
        ("{'descr'", "where `:`"),
        ("{'descr' '<f4'}", "where `:`"),
        ("{'descr': }", "where a dtype in quotes"),
        ("{'descr': '<f4}", "where the closing quote"),
        ("{'descr': '<f4\", 'shape': ()}", "where `,` or `}`"),
        (r"{'descr': '\x3cf4'}", "where the closing quote"),
        ("{'descr': '<f4'", "where `,` or `}`"),
        ("{'descr': '<f4' 'shape': ()}", "where `,` or `}`"),
        ("{descr: '<f4'}", "where a key"),
        ("{,}", "where a key"),
        ("{'descr': '<f4',, }", "where a key"),
        ("{'descr': '<f4', 'shape': ()}", "no `fortran_order`"),
        ("{'descr': '<f4', 'fortran_order': False}", "no `shape`"),
        ("{'fortran_order': False, 'shape': ()}", "no `descr`"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "`descr` twice"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'shape': ()}", "`shape` twice"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", "a key `x`"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (), '\u{1b}[31m': 1}", "a key `\\"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "where `True` or `False`"),
        ("{'descr': '<f4', 'fortran_order': Falsehood, 'shape': ()}", "where `,` or `}`"),
        ("{'descr': '<f4', 'fortran_order': false, 'shape': ()}", "where `True` or `False`"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': ()} # x", "where nothing after"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': ()}; import os", "where nothing after"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': ()}\0\0", "where nothing after"),
        ("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}", "where a dtype in quotes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3\u{e9},)}", "not ASCII at byte 52"),
        ("{'descr': [('é', '<f4')], 'fortran_order': False, 'shape': ()}", "not ASCII"),
    ];
    for (text, expected) in tests {
        for version in 1..=3 {
            let message = refusal(&file(version, text.as_bytes(), b""));
            assert!(message.contains(expected), "{text}: {message}");
            assert!(message.chars().all(|c| !c.is_control()), "{text}: {message}");
        }
    }
}

#[test]
fn hostile_shapes_are_refused() {
    let tests: &[(&str, &str)] = &[
        ("3", "where a tuple"),
        ("[3]", "where a tuple"),
        ("None", "where a tuple"),
        ("(3)", "where `,` after a size"),
        ("(,)", "where a size"),
        ("(3,,)", "where a size"),
        ("(3 3)", "where `,` after a size"),
        ("(3,", "where a size"),
        ("((3,),)", "where a size"),
        ("(3, (3,))", "where a size"),
        ("(-1,)", "negative size"),
        ("(3, -9223372036854775808)", "negative size"),
        ("(+3,)", "where a size"),
        ("(3.0,)", "where `,` after a size"),
        ("(1e3,)", "where `,` after a size"),
        ("(0x10,)", "where `,` after a size"),
        ("(1_000,)", "where `,` after a size"),
        ("(007,)", "where a size"),
        ("(True,)", "where a size"),
        ("('3',)", "where a size"),
        ("(3LL,)", "where `,` after a size"),
        ("(18446744073709551616,)", "`18446744073709551616` is beyond"),
        ("(99999999999999999999999999999999999999999999999999999999999999,)", "is beyond"),
        // Products that wrap to 0, to 4, and byte counts that wrap.
        ("(4294967296, 4294967296)", "overflow"),
        ("(4294967297, 4294967296, 4294967296)", "overflow"),
        ("(4611686018427387905, 4)", "overflow"),
        ("(2305843009213693952, 4)", "overflow"),
        ("(9223372036854775807,)", "overflow"),
        ("(18446744073709551615,)", "overflow"),
        ("(4611686018427387904,)", "overflow"),
        // Strides need even the axes of an empty array to be addressable.
        ("(0, 9223372036854775807, 9223372036854775807)", "overflow"),
        ("(1000000000, )", "announces 4000000000 bytes of elements, but there are 4"),
        ("(2,)", "announces 8 bytes of elements, but there are 4"),
        ("(0,)", "announces 0 bytes of elements, but there are 4"),
    ];
    for (shape, expected) in tests {
        let message = refusal(&usual("<f4", shape, &[0; 4]));
        assert!(message.contains(expected), "{shape}: {message}");
    }
    let nested = format!("{}3{}", "(".repeat(60_000), ")".repeat(5_000));
    assert!(refusal(&usual("<f4", &nested, &[])).contains("where a size"));
    let axes = format!("({})", "1,".repeat(65));
    assert!(refusal(&usual("<f4", &axes, &[0; 4])).contains("65 axes; the limit is 64"));
    let axes = format!("({})", "1,".repeat(64));
    assert_eq!(read(&usual("<f4", &axes, &[0; 4])).unwrap().shape().len(), 64);
}

#[test]
fn other_dtypes_are_refused_by_name() {
    let tests: &[(&str, &str)] = &[
        ("|b1", "bool arrays"),
        ("|i1", "int8 arrays"),
        ("<i8", "int64 arrays are not supported yet: `<i8`"),
        (">u2", "uint16 arrays"),
        ("<c4", "complex32 arrays"),
        ("<c32", "complex256 arrays"),
        ("<f16", "float128 arrays"),
        ("<f12", "float96 arrays"),
        ("<f3", "float24 arrays"),
        ("|S5", "byte string arrays"),
        ("<U3", "string arrays"),
        ("<M8[ns]", "datetime arrays"),
        ("<m8[s]", "time span arrays"),
        ("|V2", "bf16 is read from .safetensors"),
        ("|V7", "raw byte arrays"),
        ("|O", "pickled objects are never loaded"),
        ("O", "pickled objects are never loaded"),
        ("", "no dtype"),
        ("<", "no dtype"),
        ("f", "no dtype"),
        ("float32", "no dtype"),
        ("<<f4", "no dtype"),
        ("<f4294967296", "no dtype"),
        ("<f-4", "no dtype"),
        ("!f4", "no dtype"),
    ];
    for (descr, expected) in tests {
        let message = refusal(&usual(descr, "(1,)", &[0; 4]));
        assert!(message.contains(expected), "{descr}: {message}");
    }
    for descr in ["[('a', '<f4')]", "('<f4', (2,))", "[[[[[["] {
        let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ()}}");
        assert!(refusal(&file(1, text.as_bytes(), &[0; 4])).contains("structured"), "{descr}");
    }
}

#[test]
fn hostile_heads_are_refused() {
    let huge = [MAGIC.as_slice(), &[2, 0], &u32::MAX.to_le_bytes()].concat();
    let over = [MAGIC.as_slice(), &[3, 0], &65537_u32.to_le_bytes()].concat();
    let tests: &[(&[u8], &str)] = &[
        (b"", "it is empty"),
        (b"\x93NUMP", r"begins with `\x93NUMP`"),
        (b"\x93NUMPY", "byte 6 of 10"),
        (b"\x93NUMPY\x01", "byte 7 of 10"),
        (b"\x93NUMPY\x01\x00", "byte 8 of 10"),
        (b"\x93NUMPY\x01\x00\x40", "byte 9 of 10"),
        (b"\x93NUMPY\x02\x00\x40\x00", "byte 10 of 12"),
        (b"\x93NUMPY\x01\x00\x40\x00{'descr", "byte 17 of 74"),
        (b"\x93NUMPY\x09\x00\x40\x00", "`9.0` is no known version"),
        (b"\x93NUMPY\x00\x00\x40\x00", "`0.0` is no known version"),
        (b"\x93NUMPY\x01\x01\x40\x00", "`1.1` is no known version"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00", r"begins with `\x80\x04\x95\x10\x00\x00`"),
        (b"PK\x03\x04\x14\x00\x00\x00", "begins with `PK"),
        (b"\x93numpy\x01\x00", "begins with"),
        (&huge, "claims 4294967295 bytes; the limit is 65536"),
        (&over, "claims 65537 bytes"),
    ];
    for (bytes, expected) in tests {
        let message = refusal(bytes);
        assert!(message.contains(expected), "{}: {message}", bytes.escape_ascii());
    }
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let whole = usual("<f8", "(2, 3)", &[1; 48]);
    assert!(read(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(refusal(&longer), "the header announces 48 bytes of elements, but there are 49");
    let message = elements::read(
        &mut &longer[longer.len() - 49..],
        &Head::read(&mut whole.as_slice()).unwrap().layout,
        Supply::Stream,
    );
    assert_eq!(message.unwrap_err().to_string(), "the header announces 48 bytes of elements, but there are more");
}

#[test]
fn every_spelling_of_a_header_reads_the_same() {
    let data: Vec<u8> = [1.0_f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let texts = [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{\"shape\":(3,),\"fortran_order\":True,\"descr\":\"<f4\"}   \n",
        " \t{ 'shape' : ( 3 , ) ,'descr':'=f4',\n'fortran_order':False } \r\n",
        "{'descr': '|f4', 'fortran_order': False, 'shape': (3L,), }\n",
        "{'descr': 'f4', 'fortran_order': False, 'shape': (3,), }\n",
    ];
    for text in texts {
        for version in 1..=3 {
            let array = read(&file(version, text.as_bytes(), &data)).unwrap();
            assert_eq!(array, arr1(&[1.0_f32, 2.0, 3.0]).into_dyn().into(), "{text}");
        }
    }
}

#[test]
fn byte_and_memory_orders_are_honoured() {
    let values = [1.5, -2.0, 0.25, 1024.0, 3.0, -0.5];
    let rows = Array::from_shape_vec((2, 3), values.to_vec()).unwrap();
    let columns = Array::from_shape_vec((2, 3).f(), values.to_vec()).unwrap();
    for (code, bytes) in [
        ("f2", values.map(|x| f16::from_f64(x).to_le_bytes().to_vec())),
        ("f4", values.map(|x| (x as f32).to_le_bytes().to_vec())),
        ("f8", values.map(|x| x.to_le_bytes().to_vec())),
    ] {
        for big in [false, true] {
            let mut bytes = bytes.clone();
            if big {
                for element in &mut bytes {
                    element.reverse();
                }
            }
            for (fortran, expected) in [("False", &rows), ("True", &columns)] {
                let order = if big { '>' } else { '<' };
                let text = format!("{{'descr': '{order}{code}', 'fortran_order': {fortran}, 'shape': (2, 3)}}");
                let array = read(&file(1, text.as_bytes(), &bytes.concat())).unwrap();
                assert_eq!(array.cast(Dtype::F64).unwrap(), expected.clone().into_dyn().into(), "{text}");
            }
        }
    }
}

#[test]
fn parts_follow_each_other_in_either_byte_order() {
    let values = [Complex::new(1.5, -2.0), Complex::new(0.25, -0.0), Complex::new(3.0, 1024.0)];
    let parts = values.map(|Complex { re, im }| [re, im]).concat();
    let each = |bytes: &dyn Fn(f64) -> Vec<u8>| parts.iter().flat_map(|&part| bytes(part)).collect::<Vec<u8>>();
    for (descr, bytes) in [
        ("<c8", each(&|x| (x as f32).to_le_bytes().to_vec())),
        ("c8", each(&|x| (x as f32).to_le_bytes().to_vec())),
        (">c8", each(&|x| (x as f32).to_be_bytes().to_vec())),
        ("<c16", each(&|x| x.to_le_bytes().to_vec())),
        (">c16", each(&|x| x.to_be_bytes().to_vec())),
    ] {
        let array = read(&usual(descr, "(3,)", &bytes)).unwrap();
        assert_eq!(array.dtype(), if descr.ends_with("c8") { Dtype::C32 } else { Dtype::C64 });
        assert_eq!(array.cast(Dtype::C64).unwrap(), arr1(&values).into_dyn().into(), "{descr}");
        let refused = refusal(&usual(descr, "(3,)", &bytes[1..]));
        assert!(refused.contains(&format!("announces {} bytes of elements", bytes.len())), "{refused}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let arrays: Vec<AnyArray> = vec![
        arr0(7.0_f32).into_dyn().into(),
        arr1(&[1.0_f64, -0.0, f64::INFINITY]).into_dyn().into(),
        arr2(&[[f16::ONE, f16::MAX], [f16::MIN_POSITIVE, f16::ZERO]]).into_dyn().into(),
        ArrayD::<f32>::zeros(vec![3, 0, 2]).into(),
        Array::from_shape_fn((5, 7, 3).f(), |(i, j, k)| (i * 100 + j * 10 + k) as f32).into_dyn().into(),
        // More than one chunk, and an end that is no chunk's.
        Array::from_shape_fn(30_001, |i| i as f64).into_dyn().into(),
        arr2(&[[Complex::new(1.0_f32, -0.0)], [Complex::new(f32::MIN_POSITIVE, 2.0)]]).into_dyn().into(),
        Array::from_shape_fn((7001, 3).f(), |(i, j)| Complex::new(i as f64, j as f64)).into_dyn().into(),
    ];
    for array in arrays {
        let mut bytes = Vec::new();
        write(&mut bytes, &array).unwrap();
        let head = Head::read(&mut bytes.as_slice()).unwrap();
        assert_eq!(head.offset % 64, 0);
        assert_eq!(head.layout.memory_order, MemoryOrder::C);
        assert_eq!(read(&bytes).unwrap(), array);
    }
    let many = AnyArray::from(ArrayD::<f32>::zeros(vec![1; 64]));
    let mut bytes = Vec::new();
    write(&mut bytes, &many).unwrap();
    assert_eq!(read(&bytes).unwrap(), many);
    assert!(write(&mut Vec::new(), &ArrayD::<half::bf16>::zeros(vec![1]).into()).is_err());
}

#[test]
fn the_bytes_written_are_numpys() {
    let mut bytes = Vec::new();
    write(&mut bytes, &arr1(&[1.0_f32]).into_dyn().into()).unwrap();
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
    let expected = [b"\x93NUMPY\x01\x00\x76\x00".as_slice(), text.as_bytes()].concat();
    assert_eq!(&bytes[..expected.len()], expected);
    assert_eq!(bytes.len(), 128 + 4);
    assert_eq!(bytes[127], b'\n');
    assert_eq!(bytes[128..], 1.0_f32.to_le_bytes());
}

#[test]
fn a_claim_costs_no_memory() {
    // A stream of 2^58 bytes is claimed, four are there; this would abort if it were asked for at once.
    let bytes = usual("<f4", "(72057594037927936,)", &[0; 4]);
    assert!(refusal(&bytes).contains("announces 288230376151711744 bytes of elements, but there are 4"));
}

proptest! {
    #[test]
    fn no_damage_gets_past_the_checks(
        edits in prop::collection::vec((0_usize..160, any::<u8>()), 1..6),
        tokens in prop::collection::vec(
            (10_usize..128, prop::sample::select(vec!["(", ")", "{", "'", ",", ":", "-", "9", "L", " ", "<f8", "shape"])),
            0..4,
        ),
    ) {
        let mut bytes = Vec::new();
        write(&mut bytes, &Array::from_elem((2, 4), 1.0_f32).into_dyn().into()).unwrap();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        for (at, token) in tokens {
            bytes[at..at + token.len()].copy_from_slice(token.as_bytes());
        }
        // Whatever is read is as long as the file has bytes for; `read` compares both ways of reading.
        match read(&bytes) {
            Ok(array) => {
                prop_assert_eq!(array.shape().iter().product::<usize>() * array.dtype().bytes(), 32);
            }
            Err(error) => prop_assert!(error.to_string().chars().all(|c| !c.is_control())),
        }
    }
}
