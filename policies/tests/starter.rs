//! The starter bundle is checked, complete and rebuilt from its own bytes.

use policies::Bundle;

#[test]
fn grocery_has_no_mistakes() {
    if let Err(problems) = policies::starter::grocery() {
        panic!("{}", problems.render());
    }
}

#[test]
fn grocery_is_rebuilt_from_its_canonical_bytes() {
    let bundle = policies::starter::grocery().unwrap();
    let again = Bundle::from_canonical(bundle.canonical()).unwrap();
    assert_eq!(again.digest(), bundle.digest());
    assert_eq!(format!("{again:?}"), format!("{bundle:?}"));
}

#[test]
fn grocery_from_its_folder_is_the_same_bundle() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles/grocery");
    let bundle = Bundle::load(&folder).unwrap();
    assert_eq!(bundle.digest(), policies::starter::grocery().unwrap().digest());
}
