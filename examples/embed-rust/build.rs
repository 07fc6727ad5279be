//! Asks pkg-config where smelt is installed, and tells the linker.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    let output = Command::new("pkg-config")
        .args(["--libs", "smelt"])
        .output()
        .expect("pkg-config cannot be run: install it");
    if !output.status.success() {
        panic!(
            "pkg-config does not find smelt: set PKG_CONFIG_PATH to <prefix>/lib/pkgconfig\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for flag in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if let Some(directory) = flag.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={directory}");
        } else if let Some(library) = flag.strip_prefix("-l") {
            println!("cargo:rustc-link-lib=dylib={library}");
        }
    }
}
