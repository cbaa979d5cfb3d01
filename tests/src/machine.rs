//! What differs between the machines that the tests run on.

/// The name of the call that the step of this name makes here: generic tables have only the newest of each family.
#[must_use]
pub fn called(step: &str) -> &str {
    if cfg!(target_arch = "x86_64") {
        return step;
    }
    match step {
        "open" | "creat" => "openat",
        "unlink" | "rmdir" => "unlinkat",
        "rename" => "renameat",
        "link" => "linkat",
        "symlink" => "symlinkat",
        "mkdir" => "mkdirat",
        "mknod" => "mknodat",
        "chmod" => "fchmodat",
        "chown" | "lchown" => "fchownat",
        "dup2" => "dup3",
        "fork" | "vfork" => "clone",
        _ => step,
    }
}
