//! Products of the sizes of sets of labels, from tables: a set of eight labels is one look-up.

use super::number::Number;

/// The products of every set of labels, eight at a time.
#[derive(Clone, Debug)]
pub(super) struct Products<N> {
    /// By eight labels: the products of their sets.
    tables: Vec<Vec<N>>,
}

impl<N: Number> Products<N> {
    /// For labels of these sizes.
    pub(super) fn new(sizes: &[N]) -> Self {
        let table = |sizes: &[N]| {
            let mut table = Vec::with_capacity(1 << sizes.len());
            table.push(N::ONE);
            for size in sizes {
                for set in 0..table.len() {
                    let product = size.times(&table[set]);
                    table.push(product);
                }
            }
            table
        };
        Self { tables: sizes.chunks(8).map(table).collect() }
    }

    /// The number times the sizes of the labels in a set of words.
    #[inline]
    pub(super) fn times(&self, number: &N, words: impl Iterator<Item = u64>) -> N {
        let bytes = words.flat_map(u64::to_le_bytes);
        let mut product = number.clone();
        for (table, byte) in self.tables.iter().zip(bytes) {
            product = product.times(&table[usize::from(byte)]);
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_the_sizes_of_its_labels() {
        let sizes: Vec<u128> = (0..70).map(|label| 2 + label % 3).collect();
        let products = Products::new(&sizes);
        for words in [[0, 0], [1, 1], [0b1011, 0b10_0000], [0x8100_0000_0001, 0b100]] {
            let labels = (0..70).filter(|label| words[label / 64] >> (label % 64) & 1 == 1);
            assert_eq!(products.times(&5, words.into_iter()), labels.map(|label| sizes[label]).product::<u128>() * 5);
        }
    }
}
