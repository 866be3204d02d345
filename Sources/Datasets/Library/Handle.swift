import CHDF5

/// An open libhdf5 identifier (file, group, dataset, type, dataspace, attribute or property list), closed when the last
/// reference to it goes.
///
/// `Sendable` without exception: the number never changes, and what it stands for is used under the library's lock only.
final class Handle: Sendable {
  private let id: hid_t

  /// Takes over the identifier that `open` returns.
  /// - Throws: `DatasetError` of `reason` when it is negative.
  init(
    _ reason: DatasetError.Reason, _ location: DataLocation, _ problem: @autoclosure () -> String, _ open: () -> hid_t
  ) throws(DatasetError) {
    id = try HDF5Library.check(reason, location, problem(), open)
  }

  deinit {
    // Closing any kind of identifier is dropping its last count. A failure leaves nothing to be done here: whoever needs to
    // know (a writer) has flushed before.
    HDF5Library.locked { _ = H5Idec_ref(id) }
  }

  /// Runs `body` under the library's lock; the identifier stays open at least until it returns.
  func use<Result, Failure: Error>(_ body: (hid_t) throws(Failure) -> Result) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    return try HDF5Library.locked { () throws(Failure) -> Result in try body(id) }
  }
}
