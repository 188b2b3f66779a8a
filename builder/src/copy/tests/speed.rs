//! Large trees come out whole, whatever the number of threads.

use std::fs;

use super::ground::{Ground, copy};

#[test]
fn many_files_arrive_as_they_are() {
    let mut ground = Ground::new();
    for dir in 0..20 {
        let path = ground.context().join(format!("d{dir}"));
        fs::create_dir(&path).unwrap();
        for file in 0..50 {
            let size = (dir * 50 + file) * 97;
            fs::write(path.join(format!("f{file}")), vec![b'x'; size]).unwrap();
        }
    }
    let upper = ground.run(&copy(&["/"], "/out")).unwrap();
    for dir in 0..20 {
        for file in 0..50 {
            let path = upper.join(format!("out/d{dir}/f{file}"));
            assert_eq!(fs::metadata(&path).unwrap().len(), (dir * 50 + file) * 97, "{}", path.display());
        }
    }
}

#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let mut ground = Ground::new();
    let path = ground.context().join("sparse");
    let file = fs::File::create(&path).unwrap();
    file.set_len(8 << 20).unwrap();
    file.write_all_at(b"middle", 4 << 20).unwrap();
    drop(file);
    std::thread::sleep(std::time::Duration::from_millis(30));
    ground.digest(&copy(&["/"], "/"));
    let upper = ground.run(&copy(&["/"], "/")).unwrap();
    let copied = upper.join("sparse");
    assert_eq!(fs::read(&copied).unwrap(), fs::read(&path).unwrap());
    assert!(fs::metadata(&copied).unwrap().blocks() * 512 < 1 << 20);
}
