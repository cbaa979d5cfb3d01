//! Crates → a bill of materials in CycloneDX 1.5. The same crates give the same text: it has no number of its own, and the
//! time is that of the commit.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Release;
use super::crates::Crate;

/// The bill, as JSON. `libc`: the version of the C library that is linked in.
pub(crate) fn bill(release: &Release, crates: &[Crate], libc: &str) -> Result<String> {
    let mut components: Vec<Value> = crates.iter().map(component).collect();
    components.push(json!({
        "type": "library", "bom-ref": format!("glibc@{libc}"), "name": "glibc", "version": libc,
        "licenses": [{"license": {"id": "LGPL-2.1-or-later"}}], "purl": format!("pkg:generic/glibc@{libc}"),
    }));
    let root =
        crates.iter().find(|one| one.name == "sensor").context("the daemon is not among its own crates")?;
    let mut dependencies =
        vec![json!({"ref": "vedette", "dependsOn": [reference(root), format!("glibc@{libc}")]})];
    dependencies
        .extend(crates.iter().map(|one| json!({"ref": reference(one), "dependsOn": needs(crates, one)})));
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.time()?,
            "component": {
                "type": "application", "bom-ref": "vedette", "name": "vedette", "version": release.version,
                "licenses": [{"expression": root.licence}],
            },
            "properties": [{"name": "vedette:commit", "value": release.commit}],
        },
        "components": components,
        "dependencies": dependencies,
    });
    let mut text = serde_json::to_string_pretty(&bill).context("cannot write the bill of materials")?;
    text.push('\n');
    Ok(text)
}

fn component(one: &Crate) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": reference(one), "name": one.name, "version": one.version,
        "licenses": [{"expression": one.licence}], "purl": reference(one),
    });
    if let (Some(checksum), Some(object)) = (&one.checksum, component.as_object_mut()) {
        object.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": checksum}]));
    }
    component
}

fn needs(crates: &[Crate], one: &Crate) -> Vec<String> {
    crates.iter().filter(|other| one.needs.contains(&other.id())).map(reference).collect()
}

fn reference(one: &Crate) -> String {
    format!("pkg:cargo/{}", one.id())
}
