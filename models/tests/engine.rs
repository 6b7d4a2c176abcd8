//! A library that is no usable ONNX Runtime gives a clear error: no panic, no hang, no crash.

use std::path::{Path, PathBuf};
use std::process::Command;

use models::engine::{Choice, Engine, LIBRARY_VARIABLE};

fn error(path: &Path) -> String {
    let error = Engine::start(&Choice::Library(path.to_owned())).expect_err("refused").to_string();
    assert!(error.contains(&path.display().to_string()), "{error:?} does not name the path");
    error
}

fn check(path: &Path, words: &str) {
    let error = error(path);
    assert!(error.contains(words), "{error:?} does not say {words:?}");
    assert!(error.contains("1.24.0"), "{error:?} does not say which version is needed");
}

/// A small shared library made from Rust source.
fn library(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (code, made) = (folder.join(format!("{name}.rs")), folder.join(format!("lib{name}.so")));
    std::fs::write(&code, source).expect("writable");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let status = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "cdylib", "-C", "panic=abort", "-o"])
        .args([&made, &code])
        .status();
    assert!(status.expect("rustc runs").success());
    made
}

const BASE: &str = r#"
    #[repr(C)] pub struct Base(extern "system" fn(u32) -> *const u8, extern "system" fn() -> *const u8);
    extern "system" fn api(_: u32) -> *const u8 { std::ptr::null() }
    extern "system" fn version() -> *const u8 { VERSION.as_ptr() }
    static BASE: Base = Base(api, version);
    #[unsafe(no_mangle)] pub extern "system" fn OrtGetApiBase() -> *const Base { &BASE }
"#;

#[test]
fn what_is_not_a_whole_library_is_refused_before_it_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    };
    check(&folder.path().join("missing.so"), "No such file");
    check(folder.path(), "directory");
    check(Path::new("/dev/zero"), "device");
    check(&write("empty.so", b""), "0 bytes");
    check(&write("text.so", &b"OrtGetApiBase ".repeat(100)), "not an ELF file");
    check(
        &write("header.so", &[b"\x7fELF\x02\x01\x01".as_slice(), &[0; 200]].concat()),
        "not a shared library",
    );
    let whole = std::fs::read(library(
        folder.path(),
        "whole",
        &format!("static VERSION: &str = \"1.23.9\\0\"; {BASE}"),
    ));
    let whole = whole.expect("readable");
    check(&write("cut.so", &whole[..1024]), "cut off");
    let mut foreign = whole.clone();
    foreign[18] = 0xF3;
    check(&write("foreign.so", &foreign), "another processor");
}

#[test]
fn another_library_is_not_even_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let touched = folder.path().join("touched");
    let source = format!(
        "#[used] #[unsafe(link_section = \".init_array\")] static RUN: extern \"C\" fn() = run;
         extern \"C\" fn run() {{ std::fs::write({touched:?}, \"\").ok(); }}
         #[unsafe(no_mangle)] pub extern \"C\" fn something_else() {{}}"
    );
    check(&library(folder.path(), "other", &source), "does not export OrtGetApiBase");
    assert!(!touched.exists(), "the library's constructor ran");
}

#[test]
fn an_old_library_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = library(folder.path(), "old", &format!("static VERSION: &str = \"1.9.0\\0\"; {BASE}"));
    check(&old, "ONNX Runtime 1.9.0");
    let broken = library(folder.path(), "broken", &format!("static VERSION: &str = \"1.99.0\\0\"; {BASE}"));
    check(&broken, "does not offer API 24");
}

#[test]
fn a_library_that_never_answers_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = "#[unsafe(no_mangle)] pub extern \"system\" fn OrtGetApiBase() -> *const u8 {
        loop { std::thread::sleep(std::time::Duration::from_secs(1)); } }";
    check(&library(folder.path(), "stuck", source), "did not answer");
}

#[test]
fn a_failed_library_leaves_the_embedded_engine_usable_and_the_choice_is_final() {
    error(Path::new("/nowhere/libonnxruntime.so"));
    let engine = Engine::start(&Choice::Embedded).expect("the embedded engine starts");
    assert_eq!(engine.info().name, "tract");
    assert!(Engine::start(&Choice::Embedded).is_ok());
    let other = Engine::start(&Choice::Library(PathBuf::from("/nowhere/libonnxruntime.so")));
    assert!(other.expect_err("final").to_string().contains("already chosen"));
}

#[test]
fn the_configured_library_goes_before_the_variable_and_empty_names_count_as_none() {
    let library = |name: &str| Choice::Library(PathBuf::from(name));
    assert_eq!(Choice::from_names(Some("a"), Some("b")), library("a"));
    assert_eq!(Choice::from_names(None, Some("b")), library("b"));
    assert_eq!(Choice::from_names(Some(""), Some("b")), library("b"));
    assert_eq!(Choice::from_names(Some(""), Some("")), Choice::Embedded);
    assert_eq!(LIBRARY_VARIABLE, "ORT_DYLIB_PATH");
}
