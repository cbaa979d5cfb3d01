//! `cargo xtask image`: the static daemon as an OCI archive, from scratch: no base image, no daemon of a registry, no shell.
//!
//! The layout is that of the OCI image specification 1.0; `ctr image import`, `podman load` and `skopeo copy` read it. The
//! same commit gives the same bytes.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::arch::Arch;
use crate::dist::tree::{Tree, gzip};
use crate::dist::{self, Content, Release};
use crate::place::Place;

/// The most that the archive may have, in bytes: every node of a cluster fetches it.
const IMAGE_BYTES: usize = 25 << 20;

/// What the image is called unless somebody says otherwise: a name that no registry is asked for.
pub(crate) const NAME: &str = "localhost/vedette";

/// What it runs.
const ENTRYPOINT: [&str; 1] = ["/usr/bin/vedette"];

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build for these machines, an archive for each
    #[arg(long, value_enum, default_values_t = [Arch::HERE], value_delimiter = ',', value_name = "TARGET")]
    target: Vec<Arch>,
    /// The image's name, without a tag
    #[arg(long, default_value = NAME)]
    name: String,
}

/// Builds, packs and prints sizes.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    let release = Release::of(place)?;
    let mut made = Vec::new();
    for arch in &args.target {
        let content = Content::build(place, *arch)?;
        let root = root(place, &content)?;
        let image =
            Image { root: &root, arch: *arch, name: &args.name, entrypoint: &ENTRYPOINT, command: &["run"] };
        let archive = archive(&image, &release)?;
        if archive.len() > IMAGE_BYTES {
            let (is, most) = (dist::mebibytes(archive.len()), dist::mebibytes(IMAGE_BYTES));
            bail!("the image has {is:.2} MiB, at most {most:.0}");
        }
        made.push((file(&release, *arch), archive));
    }
    dist::finish(&place.packages(), &made)
}

/// Where this machine's image is, which is made where there is none.
pub(crate) fn ensure(place: &Place, release: &Release) -> Result<PathBuf> {
    let file = place.packages().join(file(release, Arch::HERE));
    if !file.is_file() {
        command(place, &Args { target: vec![Arch::HERE], name: NAME.to_owned() })?;
    }
    Ok(file)
}

/// An image with one layer.
pub(crate) struct Image<'a> {
    pub(crate) root: &'a Tree,
    pub(crate) arch: Arch,
    /// Without a tag, which is that of the release.
    pub(crate) name: &'a str,
    /// What is run, and what it is told unless somebody says otherwise.
    pub(crate) entrypoint: &'a [&'a str],
    pub(crate) command: &'a [&'a str],
}

fn file(release: &Release, arch: Arch) -> String {
    format!("vedette-{}-{}.oci.tar", release.version, arch.oci())
}

/// The files of the image.
fn root(place: &Place, content: &Content) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.file("usr/bin/vedette", 0o755, content.daemon.clone());
    tree.file("etc/ssl/certs/ca-certificates.crt", 0o644, authorities());
    // Without them the C library does not say whose user 0 is, and asks no server for names.
    tree.file("etc/passwd", 0o644, "root:x:0:0:root:/:/sbin/nologin\n");
    tree.file("etc/group", 0o644, "root:x:0:\n");
    tree.file("etc/nsswitch.conf", 0o644, "hosts: files dns\n");
    tree.file("usr/share/doc/vedette/THIRD-PARTY-LICENCES.txt", 0o644, content.licences.clone());
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        tree.file(&format!("usr/share/doc/vedette/{name}"), 0o644, dist::read(&place.top.join(name))?);
    }
    // A root that is mounted read-only needs these places to mount on.
    for folder in [
        "etc/vedette/config",
        "etc/vedette/rules.d",
        "etc/vedette/secrets",
        "run/vedette",
        "var/lib/vedette",
        "var/log/vedette",
        "tmp",
    ] {
        tree.folder(folder);
    }
    Ok(tree)
}

/// Mozilla's authorities as the locked crate has them: a distribution's bundle would change from day to day.
fn authorities() -> String {
    let mut bundle = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        bundle.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = STANDARD.encode(certificate.as_ref());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            bundle.push_str(line);
            bundle.push('\n');
            rest = after;
        }
        bundle.push_str("-----END CERTIFICATE-----\n");
    }
    bundle
}

/// The archive of an image.
pub(crate) fn archive(image: &Image<'_>, release: &Release) -> Result<Vec<u8>> {
    let Image { root, arch, name, entrypoint, command } = image;
    let layer = root.tar("", release.epoch)?;
    let packed = gzip(&layer)?;
    let labels = json!({
        "org.opencontainers.image.title": "vedette",
        "org.opencontainers.image.description": "Runtime security sensor for container hosts",
        "org.opencontainers.image.version": release.version,
        "org.opencontainers.image.revision": release.commit,
        "org.opencontainers.image.created": release.time()?,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.documentation": "/usr/share/doc/vedette",
    });
    let config = bytes(&json!({
        "created": release.time()?,
        "architecture": arch.oci(),
        "os": "linux",
        "config": {
            "Entrypoint": entrypoint,
            "Cmd": command,
            "Env": ["PATH=/usr/bin"],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        "history": [{"created": release.time()?, "created_by": "cargo xtask image"}],
    }))?;
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
        "annotations": labels,
    }))?;
    let mut listed = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    if let Some(listed) = listed.as_object_mut() {
        listed.insert("platform".to_owned(), json!({"architecture": arch.oci(), "os": "linux"}));
        // The second is containerd's: the whole name, where the specification has room for a tag only.
        let names = json!({
            "org.opencontainers.image.ref.name": release.version,
            "io.containerd.image.name": format!("{name}:{}", release.version),
        });
        listed.insert("annotations".to_owned(), names);
    }
    let index = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [listed],
    }))?;
    let mut layout = Tree::default();
    layout.file("oci-layout", 0o644, bytes(&json!({"imageLayoutVersion": "1.0.0"}))?);
    layout.file("index.json", 0o644, index);
    for blob in [config, manifest, packed] {
        layout.file(&format!("blobs/sha256/{}", dist::sha256(&blob)), 0o644, blob);
    }
    layout.tar("", release.epoch)
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", dist::sha256(blob))
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("cannot write JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use serde_json::Value;

    use super::{Arch, Image, Release, Tree, archive, authorities, digest};

    fn made() -> Vec<u8> {
        let mut root = Tree::default();
        root.file("usr/bin/vedette", 0o755, "program");
        let release = Release { version: "1.2.3", commit: "c0ffee".to_owned(), epoch: 86_400 };
        let (entrypoint, command) = (&["/usr/bin/vedette"][..], &["run"][..]);
        let image = Image { root: &root, arch: Arch::X86_64, name: "localhost/vedette", entrypoint, command };
        archive(&image, &release).unwrap()
    }

    #[test]
    fn every_blob_is_what_its_name_says_and_the_index_leads_to_the_layer() {
        let archive = made();
        assert_eq!(archive, made(), "made twice");
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut archive = tar::Archive::new(archive.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let blob = |descriptor: &Value| {
            let name = descriptor["digest"].as_str().unwrap().replace(':', "/");
            let blob = files[&format!("blobs/{name}")].clone();
            assert_eq!(digest(&blob), descriptor["digest"]);
            assert_eq!(blob.len(), descriptor["size"]);
            blob
        };
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let index = json(&files["index.json"]);
        let listed = &index["manifests"][0];
        assert_eq!(listed["annotations"]["io.containerd.image.name"], "localhost/vedette:1.2.3");
        let manifest = json(&blob(listed));
        let config = json(&blob(&manifest["config"]));
        let packed = blob(&manifest["layers"][0]);
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&layer));
        assert_eq!(config["created"], "1970-01-02T00:00:00Z");
    }

    #[test]
    fn the_bundle_has_every_authority_in_lines_that_parsers_take() {
        let bundle = authorities();
        let count = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), count);
        assert!(bundle.lines().all(|line| line.len() <= 64));
    }
}
