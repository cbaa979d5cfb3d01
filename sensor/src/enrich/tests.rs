//! Whole streams through the stage.
