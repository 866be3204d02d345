import Datasets
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import TestSupport
import Testing

@testable import Federation
@testable import SiteRole

/// A site's file under the charter: columns by name, classes by the charter's map, and what is refused by name.
@Suite struct PreparedSiteTests {
  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return (error as? any Failure)?.description ?? "\(error)"
    }
  }

  @Test func `Columns in any order, and more of them, give the same rows`() throws {
    let federation = try SmallFederation()
    let prepared = try federation.data(0).prepared
    guard case .features(let source) = prepared.source else { throw OwnerError.unfitJob("no features") }
    var rows = [Double](repeating: 0, count: 3 * 17)
    try rows.withUnsafeMutableBufferPointer { try source.read(rows: 0..<17, into: $0) }
    #expect(rows == federation.values(of: 0).features.flatMap { $0 })
    #expect(prepared.names.columns == SmallFederation.columns)
  }

  @Test func `A missing column is refused by its name`() throws {
    let federation = try SmallFederation()
    try federation.write(0, order: [2, 0, 1], names: [30, 10, 21])
    let text = message { _ = try federation.data(0) }
    #expect(text.contains("20") && text.contains("missing"), "\(text)")
  }

  @Test func `A doubled column is refused by its name`() throws {
    let federation = try SmallFederation()
    try federation.write(0, order: [2, 0, 1, 1], names: [30, 10, 20, 20])
    let text = message { _ = try federation.data(0) }
    #expect(text.contains("several columns are called 20"), "\(text)")
  }

  @Test func `Names of columns stand where the site's file says`() throws {
    let federation = try SmallFederation()
    try federation.write(0, namesAt: "names")
    let rows = try federation.data(0, columns: "names").prepared
    #expect(rows.names.columns == SmallFederation.columns)
    let text = message { _ = try federation.data(0, columns: "columns") }
    #expect(text.contains("'columns' (data.columns)") && text.contains("3 names"), "\(text)")
  }

  @Test func `A label that the charter lacks is refused, and a site may lack a class`() throws {
    let federation = try SmallFederation(task: "classification")
    try federation.write(0, labels: Array(repeating: 1, count: 17))
    #expect(try federation.data(0).prepared.shape.data.outputs == 2)
    try federation.write(0, labels: [2] + Array(repeating: 1, count: 16))
    let text = message { _ = try federation.data(0) }
    #expect(text.contains("class id 2") && text.contains("2 agreed classes"), "\(text)")
  }

  @Test func `Numeric labels are looked up in a list of numbers, and are places in any other list`() throws {
    let labels = (0..<17).map { Int64($0 % 3 == 0 ? 2 : 1) }
    func ids(_ classes: String) throws -> [Int32] {
      let federation = try SmallFederation(task: "classification", labels: classes)
      try federation.write(0, labels: labels)
      guard case .classes(let column)? = try federation.data(0).prepared.labels?.column else { return [] }
      return column.ids
    }
    #expect(try ids("\"2\", \"1\"") == labels.map { $0 == 2 ? 0 : 1 })
    #expect(try ids("a, b, c") == labels.map { Int32($0) })
    let text = message { _ = try ids("\"1\", \"3\"") }
    #expect(text.contains("row 0 has the label 2") && text.contains("agreed classes"), "\(text)")
  }

  @Test func `A site without rows to train on is refused before it joins`() throws {
    let federation = try SmallFederation(rows: [1, 40, 9])
    let site = try SiteSpecification.parse(
      bytes: Array(
        "name: site0\ndata: {file: \(federation.file(0)), features: x, columns: columns, labels: y, split: {validation: 0.9, seed: 1}}"
          .utf8),
      source: "site", overrides: [], directory: federation.directory.path,
      workingDirectory: federation.directory.path, charter: federation.plan.charter, checkFiles: true)
    let text = message { _ = try PreparedSite(site, plan: federation.plan) }
    #expect(text.contains("no rows to train on"), "\(text)")
  }

  @Test func `A feature that is not a number is refused with its row and column, and nothing is sent`() throws {
    let federation = try SmallFederation(rows: [17, 40, 9])
    try federation.write(0, replacing: (row: 5, column: 1, value: .nan))
    let work = try federation.work(0)
    let start = try work.start()
    let text = message { _ = try work.entries(for: .update(round: 0), model: start) { _, _ in } }
    // The file has the columns in the order 2, 0, 1.
    #expect(text.contains("row 5, column 2 is NaN"), "\(text)")
  }

  @Test func `More rows than the charter's bound are refused`() throws {
    let federation = try SmallFederation(rows: [1300, 40, 9])
    let text = message { _ = try federation.data(0) }
    #expect(text.contains("1040 training rows") && text.contains("rows_bound"), "\(text)")
  }

  @Test func `Pooled statistics are those of all sites' training rows together`() throws {
    let federation = try SmallFederation(standardize: "pooled")
    var (sums, squares, rows) = ([0.0, 0, 0], [0.0, 0, 0], 0)
    var all: [[Double]] = []
    for site in federation.rows.indices {
      let prepared = try federation.data(site).prepared
      guard case .features(let source) = prepared.source else { continue }
      for (column, value) in try PooledStatistics.sums(source, rows: prepared.split.training).enumerated() {
        sums[column] += value
      }
      rows += prepared.split.training.count
      let values = federation.values(of: site).features
      all += prepared.split.training.map { values[$0] }
    }
    let means = try #require(PooledStatistics.means(sums + [Double(rows)]))
    for site in federation.rows.indices {
      let prepared = try federation.data(site).prepared
      guard case .features(let source) = prepared.source else { continue }
      let own = try PooledStatistics.sums(source, rows: prepared.split.training, about: means)
      for column in 0..<3 { squares[column] += own[column] }
    }
    let found = try #require(PooledStatistics.standardization(means: means, squares: squares + [Double(rows)]))
    for column in 0..<3 {
      let mean = all.reduce(0) { $0 + $1[column] } / Double(all.count)
      let variance = all.reduce(0) { $0 + ($1[column] - mean) * ($1[column] - mean) } / Double(all.count)
      #expect(abs(found.mean[column] - mean) < 1e-14)
      #expect(abs(found.scale[column] - variance.squareRoot()) < 1e-14)
    }
  }

  // MARK: - The model as a vector

  @Test(arguments: ["rotation", "permutation", "none"])
  func `An average of masked models is the mask of the average`(strength: String) throws {
    let federation = try SmallFederation(strength: strength)
    let model = try federation.work(0).model
    let tensors = (0..<2).map { seed in
      model.specifications.map { specification in
        let count = specification.shape.reduce(1, *)
        return Tensor((0..<count).map { Float(($0 * 7 + seed * 5) % 11) / 11 }, shape: specification.shape)
      }
    }
    let masked = try tensors.map { try model.masked($0) }
    let average = zip(masked[0], masked[1]).map { ($0 + $1) / 2 }
    let found = try model.unmasked(average[...]).flatMap(\.elements)
    let expected = zip(tensors[0].flatMap(\.elements), tensors[1].flatMap(\.elements)).map { ($0 + $1) / 2 }
    // Numbers of order 1 through two rotations of width 5 in double, rounded to single precision twice.
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-6) }
    if strength == "rotation" { #expect(masked[0] != tensors[0].flatMap(\.elements)) }
  }

  @Test func `An adaptive rule does not commute with rotations, and says so`() throws {
    #expect(throws: FederationError.notExact(strategy: .fedadam, strength: .rotation)) {
      _ = try SmallFederation(strategy: "{name: fedadam, weighting: equal}", strength: "rotation")
    }
    _ = try SmallFederation(strategy: "{name: fedadam, weighting: equal}", strength: "permutation").work(0)
  }

  @Test func `A group key is its user's alone, is never overwritten, and gives each charter keys of its own`() throws {
    let federation = try SmallFederation()
    let path = federation.directory.file("group.key")
    try GroupKeyFile(path: path).write(federation.group)
    #expect(try federation.directory.permissions("group.key") == 0o600)
    #expect(throws: MaskingError.keyFileExists(path: path)) { try GroupKeyFile(path: path).write(GroupKey()) }
    let read = try GroupKeyFile(path: path).read()
    let vector = try federation.work(0).start()
    #expect(try federation.work(1, group: read).start() == vector)
    let other = try SmallFederation(rounds: 3)
    #expect(try other.work(0, group: read).start() != vector)
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
    #expect(throws: MaskingError.keyFileExposed(path: path)) { _ = try GroupKeyFile(path: path).read() }
  }
}
