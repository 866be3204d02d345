import CHDF5
import Foundation

@testable import Datasets

/// Small HDF5 files: features `x`, class ids `y`, one value a row `v`, by default of 60 rows and 4 columns.
struct DataFile {
  var rows = 60
  var columns = 4
  /// Of a row and a column.
  var feature: (Int, Int) -> Float = { row, column in
    Float((row * 37 + column * 11) % 23) / 23 - 0.5 + (column == row % 3 ? 1 : 0)
  }
  var label: (Int) -> Int64 = { Int64($0 % 3) }

  func write(to path: String) throws {
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    try writer.createMatrix("x", columns: columns, of: Float.self)
    try writer.append((0..<rows).flatMap { row in (0..<columns).map { feature(row, $0) } }, to: "x")
    try writer.write((0..<rows).map(label), to: "y")
    try writer.write((0..<rows).map { Float($0 % 7) / 3 }, to: "v")
    try writer.commit()
  }

  /// A file with one dataset, `x`, of fixed-length strings.
  static func writeStrings(_ texts: [String], to path: String) {
    HDF5Library.locked { writeStringsAlone(texts, to: path) }
  }

  private static func writeStringsAlone(_ texts: [String], to path: String) {
    let width = 8
    let file = H5Fcreate(path, 2 /* truncate */, hdf5DefaultProperties(), hdf5DefaultProperties())
    let type = H5Tcopy(hdf5CString())
    H5Tset_size(type, width)
    let space = H5Screate_simple(1, [hsize_t(texts.count)], nil)
    let dataset = H5Dcreate2(
      file, "x", type, space, hdf5DefaultProperties(), hdf5DefaultProperties(), hdf5DefaultProperties())
    let bytes = texts.flatMap {
      Array($0.utf8.prefix(width)) + [UInt8](repeating: 0, count: max(0, width - $0.utf8.count))
    }
    H5Dwrite(dataset, type, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), bytes)
    H5Dclose(dataset)
    H5Sclose(space)
    H5Tclose(type)
    H5Fclose(file)
  }
}

/// `DataFile`'s rows as AnnData lays them out: `X`, classes in `y`, and names in the indices of `var` and `obs`.
struct AnnDataFile {
  var data = DataFile()
  /// The column of `data` that stands in each column of the file.
  var order = [0, 1, 2, 3]
  /// Names of `data`'s columns; nil for a file without.
  var names: [String]? = ["CD4", "CD8A", "MS4A1", "NKG7"]

  func write(to path: String) throws {
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    try writer.createMatrix("X", columns: order.count, of: Float.self)
    try writer.append((0..<data.rows).flatMap { row in order.map { data.feature(row, $0) } }, to: "X")
    try writer.write((0..<data.rows).map(data.label), to: "y")
    try writer.commit()
    guard let names else { return }
    HDF5Library.locked {
      let file = H5Fopen(path, 1 /* read and write */, hdf5DefaultProperties())
      defer { H5Fclose(file) }
      Self.writeIndex(file, frame: "var", order.map { names[$0] })
      Self.writeIndex(file, frame: "obs", (0..<data.rows).map { "cell-\($0)" })
    }
  }

  private static func writeIndex(_ file: hid_t, frame: String, _ names: [String]) {
    let width = 16
    let group = H5Gcreate2(file, frame, hdf5DefaultProperties(), hdf5DefaultProperties(), hdf5DefaultProperties())
    let type = H5Tcopy(hdf5CString())
    H5Tset_size(type, width)
    let scalar = H5Screate(H5S_SCALAR)
    let attribute = H5Acreate2(group, "_index", type, scalar, hdf5DefaultProperties(), hdf5DefaultProperties())
    H5Awrite(attribute, type, padded("names", width))
    H5Aclose(attribute)
    H5Sclose(scalar)
    let space = H5Screate_simple(1, [hsize_t(names.count)], nil)
    let dataset = H5Dcreate2(
      group, "names", type, space, hdf5DefaultProperties(), hdf5DefaultProperties(), hdf5DefaultProperties())
    H5Dwrite(
      dataset, type, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), names.flatMap { padded($0, width) })
    H5Dclose(dataset)
    H5Sclose(space)
    H5Tclose(type)
    H5Gclose(group)
  }

  private static func padded(_ text: String, _ width: Int) -> [UInt8] {
    Array(text.utf8.prefix(width)) + [UInt8](repeating: 0, count: max(0, width - text.utf8.count))
  }
}

/// A random BERT of two thousand numbers as a directory of the Hugging Face libraries, and token sequences for it.
struct TokenFiles {
  static let columns = 10
  static let width = 8

  var rows = 40
  /// Of a row and a column.
  var id: (Int, Int) -> Int64 = { row, column in Int64(1 + (row * 7 + column * 5) % 19) }
  var mask: (Int, Int) -> Int64 = { row, column in column < 3 + row % 8 ? 1 : 0 }
  var tag: (Int, Int) -> Int64 = { row, column in (row + column) % 4 == 3 ? -100 : Int64((row + column) % 3) }
  /// Settings of `config.json` in place of its own.
  var settings: [String: Any] = [:]
  /// What `value` of a tensor's name and place is to be.
  var value: (String, Int, Float) -> Float = { _, _, value in value }

  func write(to site: Site) throws {
    try writeTokens(to: site["tokens.h5"])
    try FileManager.default.createDirectory(atPath: site["bert"], withIntermediateDirectories: true)
    let all = Self.settings.merging(settings) { $1 }
    try JSONSerialization.data(withJSONObject: all).write(to: URL(filePath: site["bert/config.json"]))
    try weights().write(to: URL(filePath: site["bert/model.safetensors"]))
  }

  func writeTokens(to path: String) throws {
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    for (name, entry) in [("ids", id), ("mask", mask), ("tags", tag)] {
      try writer.createMatrix(name, columns: Self.columns, of: Int64.self)
      try writer.append((0..<rows).flatMap { row in (0..<Self.columns).map { entry(row, $0) } }, to: name)
    }
    try writer.write((0..<rows).map { id($0, 1) % 3 }, to: "labels")
    try writer.commit()
  }

  private static var settings: [String: Any] {
    [
      "model_type": "bert", "vocab_size": 20, "hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2,
      "intermediate_size": 12, "hidden_act": "gelu", "max_position_embeddings": 12, "type_vocab_size": 2,
      "layer_norm_eps": 1e-12, "pad_token_id": 0,
    ]
  }

  private static var shapes: [(String, [Int])] {
    func linear(_ name: String, _ outputs: Int, _ inputs: Int) -> [(String, [Int])] {
      [("\(name).weight", [outputs, inputs]), ("\(name).bias", [outputs])]
    }
    let block = "bert.encoder.layer.0."
    return [
      ("bert.embeddings.word_embeddings.weight", [20, width]),
      ("bert.embeddings.position_embeddings.weight", [12, width]),
      ("bert.embeddings.token_type_embeddings.weight", [2, width]),
    ] + norm("bert.embeddings.LayerNorm")
      + ["query", "key", "value"].flatMap { linear("\(block)attention.self.\($0)", width, width) }
      + linear("\(block)attention.output.dense", width, width) + norm("\(block)attention.output.LayerNorm")
      + linear("\(block)intermediate.dense", 12, width) + linear("\(block)output.dense", width, 12)
      + norm("\(block)output.LayerNorm") + linear("bert.pooler.dense", width, width)
  }

  private static func norm(_ name: String) -> [(String, [Int])] {
    [("\(name).weight", [width]), ("\(name).bias", [width])]
  }

  /// The format of safetensors: the header's length as 8 bytes, the header as JSON, the numbers.
  private func weights() throws -> Data {
    var header: [String: Any] = [:]
    var numbers = Data()
    var state: UInt32 = 1
    for (name, shape) in Self.shapes {
      let start = numbers.count
      for place in 0..<shape.reduce(1, *) {
        state = state &* 1_664_525 &+ 1_013_904_223
        let noise = Float(state >> 8) / Float(1 << 24) - 0.5
        let entry = value(name, place, name.hasSuffix("Norm.weight") ? 1 + 0.2 * noise : noise)
        withUnsafeBytes(of: entry.bitPattern.littleEndian) { numbers.append(contentsOf: $0) }
      }
      header[name] = ["dtype": "F32", "shape": shape, "data_offsets": [start, numbers.count]]
    }
    let text = try JSONSerialization.data(withJSONObject: header)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text + numbers
  }
}
