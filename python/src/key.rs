//! Keys of the noise.

use pyo3::prelude::*;
use qeinsum::rng::Layout;

/// A key of JAX's threefry generator: where the noise of a call comes from.
///
/// `Key(seed)` is `jax.random.PRNGKey(seed)`. With `partitionable=True` numbers are drawn as JAX does by default since
/// version 0.5.
#[pyclass(frozen, eq, hash, module = "qeinsum")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) qeinsum::Key);

#[pymethods]
impl Key {
    #[new]
    #[pyo3(signature = (seed, *, partitionable = false))]
    fn new(seed: u64, partitionable: bool) -> Self {
        Self(qeinsum::Key::new(seed).with_layout(layout(partitionable)))
    }

    /// The key of these two words, high word first, as in a raw key of JAX.
    #[staticmethod]
    #[pyo3(signature = (high, low, *, partitionable = false))]
    fn from_words(high: u32, low: u32, partitionable: bool) -> Self {
        Self(qeinsum::Key::from_words([high, low]).with_layout(layout(partitionable)))
    }

    /// The two words, high word first.
    #[getter]
    fn data(&self) -> (u32, u32) {
        self.0.words().into()
    }

    /// Whether numbers are drawn as JAX does by default since version 0.5.
    #[getter]
    fn partitionable(&self) -> bool {
        self.0.layout() == Layout::Partitionable
    }

    /// The key that `jax.random.fold_in` makes.
    fn fold_in(&self, data: u32) -> Self {
        Self(self.0.fold_in(data))
    }

    /// The keys that `jax.random.split` makes, where `jax_threefry_partitionable` is what this key says.
    #[pyo3(signature = (count = 2))]
    fn split(&self, count: usize) -> Vec<Self> {
        self.0.split(count).into_iter().map(Self).collect()
    }

    /// The key that Flax's `make_rng` gives the layer of this name.
    fn fold_path(&self, path: &str, counter: u32) -> Self {
        Self(self.0.fold_path(path, counter))
    }

    fn __repr__(&self) -> String {
        let [high, low] = self.0.words();
        format!("Key.from_words({high}, {low}, partitionable={})", python_bool(self.partitionable()))
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (u32, u32, bool))> {
        let [high, low] = self.0.words();
        let make = py.import("qeinsum")?.getattr("_key_from_words")?.unbind();
        Ok((make, (high, low, self.partitionable())))
    }
}

fn layout(partitionable: bool) -> Layout {
    if partitionable { Layout::Partitionable } else { Layout::Original }
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
