import CHDF5
import Foundation

@testable import Datasets

/// Opens a file so that libhdf5 writes down every read from it: each inflation of a chunk begins with reading its bytes, and
/// nothing but the cache of inflated chunks saves libhdf5 from that, so reads at a chunk's address count its inflations.
struct ReadLog {
  let path: String

  func open(_ file: String) throws -> HDF5File {
    let location = DataLocation(file: file)
    let access = try HDF5File.plainAccess(location)
    // 2: H5FD_LOG_LOC_READ, a line a read.
    _ = try HDF5Library.check(.defect, location, "no log") { access.use { H5Pset_fapl_log($0, path, 2, 0) } }
    return try HDF5File(path: file, access: access)
  }

  /// The addresses that were read, in order. The file must have been closed.
  func addresses() throws -> [Int] {
    try String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8).split(separator: "\n").compactMap { line in
      guard line.hasSuffix("Read"), let first = line.split(separator: "-").first else { return nil }
      return Int(first.trimmingCharacters(in: .whitespaces))
    }
  }
}
