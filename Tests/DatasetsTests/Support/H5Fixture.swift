import CHDF5

/// Settings of datasets that need several libhdf5 calls.
enum H5Fixture {
  /// Makes the 2 × 2 dataset to be created with `properties` a view of another file.
  static func makeVirtual(_ properties: hid_t) {
    let space = H5Screate_simple(2, [2, 2], nil)
    H5Pset_virtual(properties, space, "elsewhere.h5", "Y", space)
    H5Sclose(space)
  }
}
