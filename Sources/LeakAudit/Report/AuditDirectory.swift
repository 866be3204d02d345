import Files
package import Foundation

/// Where an audit leaves its report: `audit.json` and `audit.html`.
package struct AuditDirectory: Sendable {
  package let root: URL

  package init(root: URL) {
    self.root = root
  }

  package var json: URL { root.appending(path: "audit.json") }
  package var page: URL { root.appending(path: "audit.html") }

  /// Stable JSON: sorted keys, so that two reports can be compared line by line.
  package static func text(_ report: AuditReport) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return try encoder.encode(report)
  }

  /// Makes the directory and writes and removes a file of its own in it; an earlier report stays.
  ///
  /// - Throws: `FileError` as `write` would for a path that is a file, or that this user may not write.
  package func checkWritable() throws {
    try Directory.create(root.path)
    for file in [json, page] {
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: file.path, isDirectory: &isDirectory), isDirectory.boolValue {
        throw FileError.system(.create, path: file.path, code: EISDIR)
      }
    }
    let trial = root.appending(path: ".writable-\(UUID().uuidString)").path
    try AtomicFile.write(Data(), to: trial, mode: 0o600)
    try FileManager.default.removeItem(atPath: trial)
  }

  /// Replaces an earlier report; readable by this user alone, for it tells about the data.
  ///
  /// - Throws: `FileError` when the directory cannot be made or written, of kind `.exhausted` for a full disk.
  package func write(_ report: AuditReport) throws {
    try Directory.create(root.path)
    try AtomicFile.write(Data(ReportPage(report).html.utf8), to: page.path, mode: 0o600)
    // Last: what a gate relies on is there only if everything is.
    try AtomicFile.write(try Self.text(report), to: json.path, mode: 0o600)
  }

  /// - Throws: `AuditError.missing`, `.closed`, `.unreadable`.
  package func load() throws(AuditError) -> AuditReport {
    let data: Data
    do {
      data = try Data(contentsOf: json)
    } catch CocoaError.fileReadNoSuchFile {
      throw .missing(json.path)
    } catch {
      throw .closed(json.path, reason: error.localizedDescription)
    }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let report = try? decoder.decode(AuditReport.self, from: data), report.format == AuditReport.currentFormat
    else { throw .unreadable(json.path) }
    return report
  }
}
