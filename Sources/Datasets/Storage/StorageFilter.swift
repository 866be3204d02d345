import CHDF5

/// A filter that a dataset's chunks went through, by its registered number.
struct StorageFilter: Sendable, Equatable {
  let id: Int32

  /// libhdf5's built-in filters.
  private static let builtIn: [Int32: String] = [
    1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
  ]

  /// Registered plugins that people meet, so that a refusal can name them.
  private static let registered: [Int32: String] = [
    305: "LZO", 307: "bzip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32026: "Blosc2",
  ]

  var name: String { Self.builtIn[id] ?? Self.registered[id] ?? "unregistered" }

  /// Built into the libhdf5 at hand. Plugins and filters a program registers never are.
  var isSupported: Bool { Self.builtIn[id] != nil && HDF5Library.locked { H5Zfilter_avail(id) } > 0 }

  /// What a refusal says.
  var refusal: String {
    let what = Self.builtIn[id] != nil ? "which this libhdf5 was built without" : "a plugin, and plugins are not loaded"
    return "its chunks are packed with filter \(name) (\(id)), \(what); rewrite the file with gzip, for example "
      + "`h5repack -f GZIP=4 in.h5 out.h5`, or in Python with h5py's create_dataset(…, compression='gzip')"
  }
}
