//! The key that signs checkpoints: made once, readable for the sensor alone; its public half lies beside it for whoever
//! verifies.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};

use super::stream::hex;

/// Reads the key, or makes one where there is none.
///
/// # Errors
/// Where it cannot be read or written, or is none.
pub fn signing_key(path: &Path) -> io::Result<Ed25519KeyPair> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(error),
    };
    let key = Ed25519KeyPair::from_pkcs8(&bytes)
        .map_err(|error| io::Error::other(format!("no key for Ed25519: {error}")))?;
    let public = format!("{}\n", hex(key.public_key().as_ref()));
    let beside = path.with_extension("pub");
    if fs::read_to_string(&beside).ok().as_ref() != Some(&public) {
        fs::write(beside, public)?;
    }
    Ok(key)
}

fn make(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let bytes = bytes.map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes.as_ref())?;
    file.sync_all()?;
    Ok(bytes.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/signing.key");
        let first = signing_key(&path).unwrap();
        let again = signing_key(&path).unwrap();
        assert_eq!(first.public_key().as_ref(), again.public_key().as_ref());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_to_string(path.with_extension("pub")).unwrap().trim(),
            hex(first.public_key().as_ref())
        );
        fs::write(&path, "no key").unwrap();
        assert!(signing_key(&path).is_err());
    }
}
