#![allow(unsafe_code, reason = "elements are the bytes that they are")]
//! Elements as bytes, in the order of the machine.

use super::element::Element;

/// The bytes of elements.
pub(crate) fn bytes<T: Element>(elements: &[T]) -> &[u8] {
    // SAFETY: an element is a float or two of them one behind the other, without gaps; bytes are aligned anywhere.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// The same, to be written.
pub(crate) fn bytes_mut<T: Element>(elements: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are a float.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

#[cfg(test)]
mod tests {
    use num_complex::Complex;

    use super::*;

    #[test]
    fn bytes_are_those_of_the_elements() {
        let elements = [Complex::new(1.0_f32, -0.0), Complex::new(f32::NAN, 2.5)];
        let expected: Vec<u8> =
            elements.iter().flat_map(|c| [c.re.to_ne_bytes(), c.im.to_ne_bytes()].concat()).collect();
        assert_eq!(bytes(&elements), expected);
        let mut back = [Complex::new(0.0_f32, 0.0); 2];
        bytes_mut(&mut back).copy_from_slice(&expected);
        assert_eq!(bytes(&back), expected);
        assert!(bytes::<f64>(&[]).is_empty());
    }
}
