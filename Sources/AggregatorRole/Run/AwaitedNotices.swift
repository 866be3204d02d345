import Federation

/// Whom the federation waits for: said to the sites that have nothing to do meanwhile, and shown by `status`.
extension FederationRun {
  /// What lasts less is not worth a word.
  private static let interval = Duration.seconds(5)

  /// Places of the sites whose answer is missing at this stage, or without which no sum can be begun, or that lack the result.
  var awaited: [Int] {
    if agenda.result != nil { return sitesWithoutResult }
    return switch sums.stage {
    case .idle: missing
    case .complete: sums.vectorsMissing
    case .settingUp, .uploading, .unmasking: sums.waitingFor
    }
  }

  /// Tells the sites that wait for others whom for, where the stage has lasted for a while and that has changed since they were told.
  func tellAwaited() {
    let places = awaited
    guard agenda.result == nil, !places.isEmpty, stageSince.duration(to: now) >= Self.interval,
      lastAwaitedNotice.map({ $0.duration(to: now) >= Self.interval }) ?? true
    else { return }
    let sites = AwaitedSites(places)
    for site in sitesHere where hearers[site] == true && toldAwaited[site] != sites && !places.contains(site) {
      lastAwaitedNotice = now
      toldAwaited[site] = sites
      effects.append(.send(.awaited(sites), to: site))
    }
  }
}
