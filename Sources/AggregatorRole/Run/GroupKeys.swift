import Federation
import JobSpec

/// Whether all sites have the same group key: found out before the starting model is taken, which is masked by it, and which a site with a key of
/// its own would spoil for all others.
///
/// Sites say a check of their key, of which only equality means anything. The key of most sites counts; where as many have one as another, nothing
/// is begun until one more site has come. Sites that say nothing of it (of a version before, or where nothing is masked) are asked nothing.
extension FederationRun {
  /// Takes what a site says of its key.
  ///
  /// - Parameter check: nil for nothing.
  /// - Throws: `AggregatorError.otherGroupKey`.
  func compareGroupKey(_ check: String?, of site: Int) throws {
    guard let check else { return }
    if agenda.groupChecks?["\(site)"] != check {
      try change { agenda in
        agenda.groupChecks = (agenda.groupChecks ?? [:]).merging(["\(site)": check]) { _, new in new }
      }
    }
    guard let agreed = agreedCheck else {
      guard let conflict = groupKeyConflict else { return }
      effects.append(.event(.waiting(conflict)))
      for other in Set(sitesHere + [site]) where agenda.groupChecks?["\(other)"] != nil {
        effects.append(.send(.obstacle(conflict), to: other))
      }
      return
    }
    for other in sitesHere where other != site {
      if let said = agenda.groupChecks?["\(other)"], said != agreed {
        effects.append(.refuse(other, otherKey(other, than: agreed)))
      }
    }
    if check != agreed { throw otherKey(site, than: agreed) }
  }

  private func otherKey(_ site: Int, than agreed: String) -> AggregatorError {
    .otherGroupKey(site: name(site), others: names(sites(saying: agreed)), isStarted: agenda.groupCheck != nil)
  }

  private func sites(saying check: String) -> [Int] {
    plan.charter.sites.indices.filter { agenda.groupChecks?["\($0)"] == check }
  }

  /// The check of the key that counts: of the starting model, or else what more sites say than any other, and at least two; nil while there is none.
  private var agreedCheck: String? {
    if let started = agenda.groupCheck { return started }
    guard agenda.models.isEmpty, let (check, count) = mostSaid, count >= 2 else { return nil }
    return check
  }

  /// What most sites say, and how many; nil where none says anything, or as many say something else.
  private var mostSaid: (check: String, count: Int)? {
    let counts = (agenda.groupChecks ?? [:]).values.reduce(into: [:]) { $0[$1, default: 0] += 1 }
      .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    guard let first = counts.first, counts.dropFirst().first?.value != first.value else { return nil }
    return (first.key, first.value)
  }

  /// Whether as many sites as a sum needs have the same key.
  var hasGroupKey: Bool {
    guard agenda.groupChecks?.isEmpty == false else { return true }
    guard let (_, count) = mostSaid else { return false }
    let silent = agenda.introducedBy.count { agenda.groupChecks?["\($0)"] == nil }
    return count + silent >= plan.charter.federation.participation.minimum
  }

  /// Whether a site may be asked for the starting model.
  func mayStart(_ site: Int) -> Bool {
    guard agenda.groupChecks?.isEmpty == false else { return true }
    return mostSaid.map { agenda.groupChecks?["\(site)"] == $0.check } ?? false
  }

  /// Why no starting model is asked for; nil where one is.
  var groupKeyObstacle: String? {
    guard !hasGroupKey else { return nil }
    if let (check, count) = mostSaid {
      let minimum = plan.charter.federation.participation.minimum
      return
        "waiting for sites with the same group key: \(minimum) are needed, \(count) have it (\(names(sites(saying: check))))"
    }
    return groupKeyConflict
  }

  /// What to do where as many sites have one key as another; nil where that is not so, or where a model stands.
  var groupKeyConflict: String? {
    guard agenda.models.isEmpty, agenda.groupChecks?.isEmpty == false, mostSaid == nil else { return nil }
    let groups = Set((agenda.groupChecks ?? [:]).values).map { names(sites(saying: $0)) }.sorted()
    return
      "waiting, since sites have different group keys: \(groups.joined(separator: " | ")); compare the SHA-256 of group.key there, and start "
      + "the site with the wrong one again with the right one, with --resume"
  }
}
