//! The Rust version that the manifest states is enough for everything that it depends on.

use std::process::Command;

#[test]
fn no_dependency_needs_a_newer_rust() {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let version = |package: &serde_json::Value| -> Option<Vec<u32>> {
        let text = package["rust_version"].as_str()?;
        let mut parts: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
        parts.resize(3, 0);
        Some(parts)
    };
    let ours = packages.iter().find(|package| package["name"] == "qeinsum").and_then(version).unwrap();
    for package in packages {
        // Platform-specific packages that this machine would not build count too: users have other machines.
        if let Some(theirs) = version(package) {
            assert!(theirs <= ours, "{} needs Rust {theirs:?}, we state {ours:?}", package["name"]);
        }
    }
    assert!(packages.len() > 20);
}
