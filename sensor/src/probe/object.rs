//! The kernel object that was built with this daemon, and whether it speaks the same record format.

use object::{Object, ObjectSection, ObjectSymbol};
use sensor_common::ABI_VERSION;

use super::ProbeError;

/// The object, with the alignment that its reader needs.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/vedette.o"));

/// Compares the number that the object carries with ours.
///
/// # Errors
/// [`ProbeError::Abi`] where they differ, [`ProbeError::Object`] where there is none.
pub(super) fn check_abi(object: &[u8]) -> Result<(), ProbeError> {
    let file = object::File::parse(object).map_err(|error| ProbeError::Object(error.to_string()))?;
    let found = (|| {
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("ABI"))?;
        let section = file.section_by_index(symbol.section_index()?).ok()?;
        let at = usize::try_from(symbol.address().checked_sub(section.address())?).ok()?;
        let bytes = section.data().ok()?.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    })();
    match found {
        Some(ABI_VERSION) => Ok(()),
        Some(found) => Err(ProbeError::Abi { found, expected: ABI_VERSION }),
        None => Err(ProbeError::Object("it has no version number".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_another_version_is_refused() {
        check_abi(OBJECT).unwrap();
        assert!(matches!(check_abi(b"\x7fELF"), Err(ProbeError::Object(_))));
        let file = object::File::parse(OBJECT).unwrap();
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("ABI")).unwrap();
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let at = section.file_range().unwrap().0 + symbol.address();
        let mut other = OBJECT.to_vec();
        other[at as usize] = 200;
        assert!(matches!(check_abi(&other), Err(ProbeError::Abi { found: 200, .. })));
    }
}
