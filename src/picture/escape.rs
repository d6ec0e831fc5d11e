//! Text as XML and as a script's data.

/// The text as XML has it between tags and in quotes; what XML cannot hold becomes `U+FFFD`.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// JSON as it may stand in a script element: nothing in it ends that, or begins a comment.
pub(super) fn script(json: &str) -> String {
    // JSON has these characters in strings only, where the escaped form means the same.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out() {
        assert_eq!(xml("</text><script>'\"&\u{1}"), "&lt;/text&gt;&lt;script&gt;&#39;&quot;&amp;\u{fffd}");
        assert_eq!(script(r#"{"a":"</script><!--"}"#), r#"{"a":"\u003c/script\u003e\u003c!--"}"#);
    }
}
