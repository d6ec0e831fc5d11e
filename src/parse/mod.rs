//! Text to equation.
//!
//! In comes an equation as a user writes it: compact (`bij,bjk->bik`), named (`batch in, in out -> batch out`) or as
//! sublists of integers. [`parse`] turns text into an [`Ast`], which keeps every place of the text, `...` and a
//! missing output. [`resolve`] turns that and the ranks of the operands into an [`Equation`](crate::Equation), which
//! has neither. What goes wrong is an [`Error`](crate::Error) that points at the text.
//!
//! Absent: sizes (beyond handing them to [`Sizes`](crate::Sizes)), paths, arrays. Nothing here recurses, and all of
//! it takes time linear in the text, up to the sorting of labels.
//!
//! The language is `grammar/einsum.ebnf`; its productions are the functions of `parser.rs`.
//!
//! ```
//! use qeinsum::Syntax;
//! use qeinsum::parse::{parse, resolve};
//! let ast = parse("...ij, jk", Syntax::Compact)?;
//! assert_eq!(resolve(&ast, &[3, 2])?.to_string(), "cij,jk->cik");
//! # Ok::<(), qeinsum::Error>(())
//! ```

mod ast;
mod note;
mod parser;
mod resolve;
mod sublist;
mod token;

pub use ast::{Ast, Item, Output, Term};
pub use note::Note;
pub use parser::parse;
pub use resolve::{bind, resolve, resolve_symbolic};
pub use sublist::{SublistItem, from_sublists};
