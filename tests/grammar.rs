//! The parser accepts exactly the language of `grammar/einsum.ebnf`, and prints what it read.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use qeinsum::parse::{Ast, Item, Output, bind, parse, resolve, resolve_symbolic};
use qeinsum::{Equation, Syntax};

use crate::ebnf::{Expression, Grammar, Symbol};
use crate::{fixture, snapshot};

const GRAMMAR: &str = include_str!("../grammar/einsum.ebnf");
const PARSER: &str = include_str!("../src/parse/parser.rs");

/// Letters of every subcategory, and characters that are none though some look so, as of any version of Unicode.
const LETTERS: [char; 9] = ['a', 'b', 'i', 'Z', 'β', 'ǅ', 'ʰ', '長', '𝒜'];
const OTHERS: [char; 26] = [
    '.', ',', '-', '>', ' ', '=', '_', '0', '7', '(', ']', '#', '\\', '\t', '\n', '\0', '\u{a0}', '\u{200b}',
    '\u{202e}', '\u{301}', '…', '→', '×', 'Ⅷ', 'ⓐ', '٠',
];

#[test]
fn every_sentence_production_is_a_parser_function() {
    let grammar = Grammar::read(GRAMMAR);
    let mut lexical = grammar.reachable("compact_token");
    lexical.extend(grammar.reachable("named_token"));
    lexical.insert("label");
    let sentences: Vec<&str> = grammar.names().filter(|name| !lexical.contains(name)).collect();
    assert_eq!(sentences, ["compact", "named", "operands", "output", "term"]);
    for name in sentences {
        assert!(PARSER.contains(&format!("    fn {name}(")), "no parser function {name}");
    }
    // Nothing in the grammar is out of use.
    let mut used = lexical;
    used.extend(grammar.reachable("compact"));
    used.extend(grammar.reachable("named"));
    assert_eq!(used, grammar.names().collect::<BTreeSet<_>>());
}

#[test]
fn all_short_texts_are_read_as_the_grammar_says() {
    let language = Language::read();
    let alphabet = ['i', '.', ',', '-', '>', ' '];
    let mut accepted = 0;
    for length in 0..=6 {
        for number in 0..alphabet.len().pow(length) {
            let digits = (0..length).map(|place| number / alphabet.len().pow(place) % alphabet.len());
            let text: String = digits.map(|digit| alphabet[digit]).collect();
            for syntax in [Syntax::Compact, Syntax::Named] {
                accepted += usize::from(language.check(&text, syntax));
            }
        }
    }
    // Counted by an expression of regular kind and a check of the output, outside of this project.
    assert_eq!(accepted, 1468 + 226);
}

#[test]
fn sentences_and_their_mutations_are_read_as_the_grammar_says() {
    let language = Language::read();
    let mut random = Random(0x5eed);
    let mut accepted = [0; 2];
    for _ in 0..4_000 {
        for syntax in [Syntax::Compact, Syntax::Named] {
            let sentence = language.sentence(syntax, &mut random);
            assert!(language.tokens(&sentence, syntax).is_some(), "{sentence:?}");
            accepted[0] += usize::from(language.check(&sentence, syntax));
            let mut mutated = sentence;
            for _ in 0..3 {
                mutate(&mut mutated, &mut random);
                accepted[1] += usize::from(language.check(&mutated, syntax));
            }
        }
    }
    // Neither side of the question is rare.
    assert!((2_000..7_000).contains(&accepted[0]), "{accepted:?}");
    assert!((2_000..20_000).contains(&accepted[1]), "{accepted:?}");
}

#[test]
fn every_line_of_ok_is_accepted() {
    for file in fixture::files("ok") {
        for line in file.lines {
            let ast = parse(&line.text, file.syntax).unwrap_or_else(|error| panic!("{}: {error}", line.written));
            check_print(&ast);
            check_bind(&ast);
            resolve_symbolic(&ast).unwrap();
            if let Some(shapes) = &line.shapes {
                let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
                let bound = bind(&ast, &shapes);
                check_print_resolved(&bound.unwrap_or_else(|error| panic!("{}: {error}", line.written)).0);
            }
        }
    }
}

#[test]
fn every_line_of_err_is_refused() {
    for file in fixture::files("err") {
        let mut shown = String::new();
        for line in &file.lines {
            let refused = parse(&line.text, file.syntax).and_then(|ast| {
                let shapes = line.shapes.as_ref().map(|shapes| shapes.iter().map(Vec::as_slice).collect::<Vec<_>>());
                shapes.map_or(Ok(()), |shapes| bind(&ast, &shapes).map(drop))
            });
            let error = refused.err().unwrap_or_else(|| panic!("{}: accepted", line.written));
            assert!(!error.spans().is_empty(), "{}: no place", line.written);
            let unsafe_to_print = |c: &char| *c != '\n' && (c.is_control() || !c.is_ascii() && is_format(*c));
            assert_eq!(error.to_string().chars().find(unsafe_to_print), None, "{}", line.written);
            writeln!(shown, "{}\n{error}\n", line.written).unwrap();
        }
        snapshot::assert(&format!("grammar__err_{}", file.stem), &format!("grammar/err/{}.txt", file.stem), &shown);
    }
}

/// Characters that change how a terminal shows the text around them.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The grammar and the rules beside it.
struct Language(Grammar);

impl Language {
    fn read() -> Self {
        Self(Grammar::read(GRAMMAR))
    }

    /// Whether a text is accepted, having checked that the parser says the same and prints what it read.
    fn check(&self, text: &str, syntax: Syntax) -> bool {
        let expected = self.tokens(text, syntax).is_some_and(|tokens| output_is_right(&tokens));
        match parse(text, syntax) {
            Ok(ast) => {
                assert!(expected, "{text:?} is accepted as {syntax:?}");
                check_print(&ast);
                check_bind(&ast);
            }
            Err(error) => assert!(!expected, "{text:?} is refused as {syntax:?}: {error}"),
        }
        expected
    }

    /// The tokens of a text, each with its production, if it is a sentence.
    fn tokens(&self, text: &str, syntax: Syntax) -> Option<Vec<(String, String)>> {
        let (start, alternatives) = match syntax {
            Syntax::Compact => ("compact", ["letter", "ellipsis", "comma", "arrow"]),
            Syntax::Named => ("named", ["name", "ellipsis", "comma", "arrow"]),
        };
        let special = |_: &str, c: char| LETTERS.contains(&c) || c.is_ascii_alphabetic();
        let input: Vec<Symbol> = text.chars().map(Symbol::Character).collect();
        let mut tokens = Vec::new();
        let mut place = 0;
        while place < input.len() {
            if input[place] == Symbol::Character(' ') {
                place += 1;
                continue;
            }
            let longest = |name: &&str| self.0.ends(self.0.production(name), &input, place, &special).last().copied();
            let (end, name) = alternatives.iter().filter_map(|name| Some((longest(name)?, *name))).max()?;
            tokens.push((name.to_owned(), text.chars().skip(place).take(end - place).collect()));
            place = end;
        }
        let input: Vec<Symbol> = tokens.iter().map(|(name, _)| Symbol::Token(name.clone())).collect();
        let ends = self.0.ends(self.0.production(start), &input, 0, &special);
        ends.contains(&input.len()).then_some(tokens)
    }

    /// A random sentence, with random spaces where they may stand.
    fn sentence(&self, syntax: Syntax, random: &mut Random) -> String {
        let start = if syntax == Syntax::Compact { "compact" } else { "named" };
        let mut tokens = Vec::new();
        self.derive(self.0.production(start), syntax, random, &mut tokens);
        let mut text = " ".repeat(random.below(4) / 3);
        for (place, token) in tokens.iter().enumerate() {
            let word = |token: Option<&String>| token.is_some_and(|token| token.starts_with(char::is_alphanumeric));
            let needed = syntax == Syntax::Named && word(Some(token)) && word(tokens.get(place + 1));
            text += token;
            text += &" ".repeat(usize::from(needed) + random.below(5) / 4);
        }
        text
    }

    fn derive(&self, expression: &Expression, syntax: Syntax, random: &mut Random, into: &mut Vec<String>) {
        match expression {
            Expression::Production(name) if name == "label" => into.push(match syntax {
                Syntax::Compact => {
                    let few = if random.below(2) == 0 { 3 } else { LETTERS.len() };
                    LETTERS[random.below(few)].to_string()
                }
                Syntax::Named => ["a", "b", "in_1", "Out", "a2"][random.below(5)].to_owned(),
            }),
            Expression::Production(name) => self.derive(self.0.production(name), syntax, random, into),
            Expression::Sequence(parts) => parts.iter().for_each(|part| self.derive(part, syntax, random, into)),
            Expression::Choice(parts) => self.derive(&parts[random.below(parts.len())], syntax, random, into),
            Expression::Optional(part) => (0..random.below(2)).for_each(|_| self.derive(part, syntax, random, into)),
            Expression::Repeated(part) => (0..random.below(4)).for_each(|_| self.derive(part, syntax, random, into)),
            Expression::Literal(literal) => into.push(literal.clone()),
            Expression::Special(text) => panic!("a sentence is made of tokens, not of {text}"),
        }
    }
}

/// The rules that the grammar states in words: labels of the output are known and distinct.
fn output_is_right(tokens: &[(String, String)]) -> bool {
    let Some(arrow) = tokens.iter().position(|(name, _)| name == "arrow") else { return true };
    let labels = |tokens: &[(String, String)]| -> Vec<String> {
        let labels = tokens.iter().filter(|(name, _)| name == "letter" || name == "name");
        labels.map(|(_, text)| text.clone()).collect()
    };
    let (known, output) = (labels(&tokens[..arrow]), labels(&tokens[arrow..]));
    output.iter().all(|label| known.contains(label)) && output.iter().collect::<BTreeSet<_>>().len() == output.len()
}

/// Printing and parsing are inverse: the same terms come back, and the same text from them.
fn check_print(ast: &Ast) {
    let printed = ast.to_string();
    let again =
        parse(&printed, ast.syntax()).unwrap_or_else(|error| panic!("{:?} as {printed:?}: {error}", ast.text()));
    assert_eq!(again.text(), printed);
    assert_eq!(again.to_string(), printed);
    assert_eq!(terms(&again), terms(ast), "{:?} as {printed:?}", ast.text());
}

/// A resolved equation is its own spelling.
fn check_print_resolved(equation: &Equation) {
    let ranks: Vec<usize> = equation.operands().iter().map(|labels| labels.len()).collect();
    let again = parse(&equation.to_string(), equation.syntax()).and_then(|ast| resolve(&ast, &ranks));
    assert_eq!(again.as_ref(), Ok(equation));
}

/// Operands of any rank either fit and have a label an axis, or are refused with a place.
fn check_bind(ast: &Ast) {
    let shape = [2; 24];
    let count = ast.operands().len();
    let labels = ast.operands().iter().map(|term| term.labels().count());
    let fitting: Vec<usize> = labels.enumerate().map(|(operand, labels)| labels + operand % 2).collect();
    let exact: Vec<usize> = ast.operands().iter().map(|term| term.labels().count()).collect();
    for ranks in (0..5).map(|rank| vec![rank; count]).chain([fitting, exact]) {
        let shapes: Vec<&[usize]> = ranks.iter().map(|&rank| &shape[..rank]).collect();
        match bind(ast, &shapes) {
            Ok((equation, sizes)) => {
                assert!(equation.operands().iter().map(|labels| labels.len()).eq(ranks));
                assert!(sizes.shape_of(equation.output()).iter().all(|&size| size == 2));
                check_print_resolved(&equation);
            }
            Err(error) => assert!(!error.spans().is_empty()),
        }
    }
}

/// The text of every item, by term, and whether the last term is a written output.
fn terms(ast: &Ast) -> (Vec<Vec<&str>>, bool) {
    let output = ast.output().map(Output::term);
    let items = |items: &[Item]| items.iter().map(|item| ast.slice(item.span())).collect();
    (ast.operands().iter().chain(output).map(|term| items(term.items())).collect(), output.is_some())
}

/// Deletes, doubles, exchanges, inserts or replaces a character.
fn mutate(text: &mut String, random: &mut Random) {
    let mut characters: Vec<char> = text.chars().collect();
    let place = random.below(characters.len() + 1);
    let any = |random: &mut Random| match random.below(3) {
        0 => LETTERS[random.below(LETTERS.len())],
        1 => OTHERS[random.below(5)],
        _ => OTHERS[random.below(OTHERS.len())],
    };
    match random.below(5) {
        0 if place < characters.len() => drop(characters.remove(place)),
        1 if place < characters.len() => characters.insert(place, characters[place]),
        2 if place + 1 < characters.len() => characters.swap(place, place + 1),
        3 if place < characters.len() => characters[place] = any(random),
        _ => characters.insert(place, any(random)),
    }
    *text = characters.into_iter().collect();
}

/// A small generator of numbers, the same everywhere: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}
