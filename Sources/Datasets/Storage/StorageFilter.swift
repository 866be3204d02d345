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
    // h5py has LZF built in, and the Python package hdf5plugin brings the rest of those named here.
    let python = Self.registered[id] == nil || id == 32000 ? "h5py" : "h5py, hdf5plugin"
    return "its chunks are packed with filter \(name) (\(id)), \(what); rewrite it with gzip where the filter is "
      + "installed: `h5repack -f GZIP=4 in.h5 out.h5`, or in Python `import \(python); h5py.File('out.h5', 'w')"
      + ".create_dataset(NAME, data=h5py.File('in.h5')[NAME], chunks=True, compression='gzip')`"
  }
}
