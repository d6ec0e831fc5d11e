//! Snapshots: every file of them is in `snapshots/`, named by words.
//!
//! A changed text fails the test. `INSTA_UPDATE=always` writes it anew; the gate runs with `INSTA_UPDATE=no`.

/// Compares `text` with `snapshots/NAME.snap`; the description says in that file what was asked.
pub(crate) fn assert(name: &str, description: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(description);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
