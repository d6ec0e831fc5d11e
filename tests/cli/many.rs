//! `many`: several equations on the command line.

use crate::harness::Folder;
use crate::snapshot;

#[test]
fn several_equations_have_a_text() {
    let folder = Folder::new("many");
    let session = folder.session(&[
        "many ab,bc,cd->ad ab,bc,ce->ae --operands 0,1,2;0,1,3 --shapes 20x30,30x40,40x20,40x20",
        "many --operands 0,1,0,1 --shapes 3x4,4x3 ab,bc,cd,de->ae --bits 8",
        "many ij,jk->ik --operands 0,1 --shapes 3x4,4x3 --format json",
        "many ij,jk->ik ij->j --operands 0,1 --shapes 3x4,4x3",
        "many ij,jk->ik --operands 0,x --shapes 3x4,4x3",
        "many ij,jk->ik ij,kj->ik --operands 0,1;0,1 --shapes 3x4,4x3",
        "many ij,jk->ik --operands 0,1 --shapes 3x4,4x3 --path (0,1)",
        "many ij,jk->ik --operands 0,1 --shapes 3x4,4x3 --memory-limit 1MiB",
        "many ij,jk->ik --operands 0,1 --shapes 3x4,4x3 --oops",
        "many ij,jk->ik --shapes 3x4,4x3",
        "many --operands 0;1 --shapes 3,scalar i-> -- ->",
    ]);
    snapshot::assert("cli__many", "several equations on the command line", &session);
}
