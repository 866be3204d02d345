import Federation
import Files
import Foundation
import Foundations
import Numerics
import OwnerRole
import TestSupport
import Testing

@testable import SiteRole

/// Files of a site's `state/` that are gone or not what was written: found by the site, by their names, and not blamed on the aggregator.
@Suite struct DamagedStateTests {
  /// Changes of one bit all over a file, and other lengths.
  private func damaged(_ good: Data) -> [(String, Data)] {
    var all: [(String, Data)] = [
      ("empty", Data()), ("cut", good.dropLast()), ("half", good.prefix(good.count / 2)), ("longer", good + good),
    ]
    for place in good.indices where ![0x20, 0x0A].contains(good[place]) {
      var bytes = good
      bytes[place] ^= 1 << UInt8(place % 8)
      all.append(("byte \(place)", bytes))
    }
    return all
  }

  private func expectDamage(
    _ file: URL, saying advice: String, _ read: () throws -> Void, location: Testing.SourceLocation = #_sourceLocation
  ) throws {
    let good = try Data(contentsOf: file)
    for (what, bytes) in damaged(good) {
      try bytes.write(to: file)
      let error = #expect(throws: SiteError.self, "\(what)", sourceLocation: location) { try read() }
      #expect(error?.kind.exitCode == 3, "\(what): \(String(describing: error))", sourceLocation: location)
      let text = error?.description ?? ""
      #expect(text.contains(file.path) && text.contains(advice), "\(what): \(text)", sourceLocation: location)
    }
    try good.write(to: file)
    try read()
  }

  @Test func `Pooled sums that changed are named, and can be had again`() throws {
    let federation = try SmallFederation(standardize: "pooled")
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    try place.store([1.5, -2, 0.125, 60], of: .means)
    let file = place.run.state.appending(path: "pooled-means.json")
    try expectDamage(file, saying: "remove it") { _ = try place.pooled(.means) }
    #expect(try place.pooled(.means) == [1.5, -2, 0.125, 60])
    try FileManager.default.removeItem(at: file)
    #expect(try place.pooled(.means) == nil)
    // As the version before has it.
    try Data("[1.5, 2]".utf8).write(to: file)
    #expect(try place.pooled(.means) == [1.5, 2])
  }

  @Test func `A table of models that changed is named`() throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    try place.remember(model: "aa", round: 0)
    let file = place.run.state.appending(path: "models.json")
    try expectDamage(file, saying: "put it back") { try place.remember(model: "aa", round: 0) }
    // As the version before has it; it is written anew with the next model.
    try Data(#"{"0": "aa"}"#.utf8).write(to: file)
    #expect(throws: SiteError.self) { try place.remember(model: "bb", round: 0) }
    #expect(throws: SiteError.self) { try place.remember(model: "aa", round: 1) }
    try place.remember(model: "bb", round: 1)
    #expect(throws: SiteError.self) { try place.remember(model: "bb", round: 0) }
    #expect(throws: SiteError.self) { try place.remember(model: "bb", round: 2) }
    try place.remember(model: "bb", round: 2, mayRecur: true)
  }

  @Test func `A state of sums that changed is named, and one of the version before is read`() throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    let content = Array("SumParty and what follows".utf8)
    try content.withUnsafeBytes { try place.store(sums: $0) }
    let file = place.run.state.appending(path: "sums.state")
    let good = try Data(contentsOf: file)
    for (what, bytes) in damaged(good) {
      try bytes.write(to: file)
      do {
        // What has lost its hash is of no version, and then for the reader of the state to refuse.
        let read = try place.withSums { $0.map(Array.init) }
        #expect(read == Array(bytes) && read != content, "\(what)")
      } catch SiteError.damaged(let path, let text) {
        #expect(path == file.path && text.contains("never an older copy"), "\(what): \(text)")
      }
    }
    try Data(content).write(to: file)
    #expect(try place.withSums { $0.map(Array.init) } == content)
  }

  @Test func `A record that changed, or is missing between others, is named; those of the version before are read`()
    throws
  {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    let records = (0..<3).map { round in
      var record = SumRecord(
        purpose: .update(round: round), sum: UInt64(round + 1), attempt: 1, cohort: ["site0", "site1"],
        survivors: ["site0"], seconds: 0.1 + Double(round))
      record.means = ["loss": 1.0 / 3]
      return record
    }
    var history = try SiteHistory(place)
    for record in records { try history.append(record) }
    #expect(try SiteHistory(place).records == records)
    let file = place.run.history
    let good = try Data(contentsOf: file)
    let lines = good.split(separator: 0x0A)
    var spoilt = [("longer", good + good)]
    for place in good.indices.dropLast() {
      var bytes = good
      bytes[place] ^= 1 << UInt8(place % 8)
      spoilt.append(("byte \(place)", bytes))
    }
    for (what, kept) in [("first", [1, 2]), ("middle", [0, 2]), ("order", [0, 2, 1]), ("twice", [0, 1, 1])] {
      spoilt.append((what, Data(kept.flatMap { lines[$0] + [0x0A] })))
    }
    for (what, bytes) in spoilt {
      try bytes.write(to: file)
      let error = #expect(throws: SiteError.self, "\(what)") { try SiteHistory(place) }
      #expect(error?.kind.exitCode == 3 && error?.description.hasPrefix("\(file.path) is not") == true, "\(what)")
    }
    // Lines that are missing at the end are those that the aggregator sends again.
    try good.dropLast().write(to: file)
    #expect(try SiteHistory(place).records == Array(records[..<2]))

    try Data(records[..<2].map { $0.line + "\n" }.joined().utf8).write(to: file)
    var older = try SiteHistory(place)
    #expect(older.records == Array(records[..<2]))
    try older.append(records[2])
    #expect(try SiteHistory(place).records == records)
    var text = try String(contentsOf: file, encoding: .utf8)
    text.replace("\"sum\":2", with: "\"sum\":3")
    try Data(text.utf8).write(to: file)
    #expect(throws: SiteError.self) { try SiteHistory(place) }
  }

  @Test func `Control variates that changed, are gone, or of another round are named`() throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    #expect(try place.controls(after: 0, count: 3) == nil)
    try place.storePending([1, 2, 3], round: 0)
    let pending = place.run.state.appending(path: "controls-1.pending.safetensors")
    try expectDamage(pending, saying: "put it back") {
      let good = try Data(contentsOf: pending)
      try place.settle(round: 0, tookPart: true)
      try good.write(to: pending)
    }
    try place.settle(round: 0, tookPart: true)
    let file = place.run.state.appending(path: "controls-1.safetensors")
    #expect(!FileManager.default.fileExists(atPath: pending.path))
    try expectDamage(file, saying: "put it back") { _ = try place.controls(after: 1, count: 3) }
    #expect(try place.controls(after: 1, count: 3) == [1, 2, 3])
    // Told of the same sum again, and of one without this site.
    try place.settle(round: 0, tookPart: true)
    try place.storePending([4, 5, 6], round: 1)
    try place.settle(round: 1, tookPart: false)
    #expect(throws: SiteError.self) { try place.controls(after: 2, count: 3) }
    #expect(throws: SiteError.self) { try place.settle(round: 1, tookPart: true) }
    #expect(throws: SiteError.self) { try place.controls(after: 1, count: 4) }
    // A copy of another round's.
    try FileManager.default.copyItem(at: file, to: place.run.state.appending(path: "controls-2.safetensors"))
    #expect(throws: SiteError.self) { try place.controls(after: 2, count: 3) }
    // As the version before has it.
    try SafetensorsFile.write([SafetensorsTensor("controls", Tensor<Float>([7, 8, 9], shape: [3]))], to: file.path)
    #expect(try place.controls(after: 1, count: 3) == [7, 8, 9])
  }

  /// Files that a run of pooled statistics, secure sums and control variates has, and how it is told.
  static let files: [(name: String, text: String)] = [
    ("sums.state", "never an older copy"), ("pooled-means.json", "remove it, and resume"),
    ("models.json", "put it back as it was"), ("data.json", "is gone"), ("../history.jsonl", "remove it, and resume"),
    ("controls-1.safetensors", "put it back as it was"),
  ]

  @Test(arguments: files.indices)
  func `A run that is resumed with a damaged file ends by the file's name, and goes on once it is back`(
    index: Int
  ) throws {
    let (name, text) = Self.files[index]
    let federation = try SmallFederation(
      rounds: 3, strategy: name.hasPrefix("controls") ? "{name: scaffold}" : "{name: fedavg, weighting: rows}",
      standardize: "pooled")
    var undisturbed = federation
    undisturbed.place = "undisturbed-"
    for result in try undisturbed.run() { _ = try result.get() }
    let file = federation.runDirectory(0).run.state.appending(path: name)
    let aside = federation.directory.url("aside")
    let damage: @Sendable (SiteEvent) -> Bool = { event in
      guard case .recorded(let record) = event, record.purpose == "update 0" else { return false }
      try? FileManager.default.moveItem(at: file, to: aside)
      guard name != "data.json", var bytes = try? Data(contentsOf: aside) else { return true }
      bytes[bytes.count / 2] ^= 1
      try? bytes.write(to: file)
      return true
    }
    let results = try federation.run(interruptions: .init(moments: [0: damage]))
    guard case .failure(let error) = results[0], case .damaged(let path, let what)? = error as? SiteError else {
      Issue.record("\(results[0])")
      return
    }
    #expect(URL(filePath: path).standardizedFileURL == file.standardizedFileURL && what.contains(text), "\(what)")
    #expect((error as? SiteError)?.kind.exitCode == 3)
    try? FileManager.default.removeItem(at: file)
    try FileManager.default.moveItem(at: aside, to: file)
    for result in try federation.run(resuming: true) { _ = try result.get() }
    for site in federation.rows.indices {
      #expect(try federation.weights(site: site) == undisturbed.weights(site: site))
    }
  }
}
