import Testing

@testable import SiteRole

@Suite struct WaitingNoticeTests {
  @Test func `It speaks after ten seconds, then once a minute, and anew after each request`() {
    let start = ContinuousClock.now
    var notice = WaitingNotice(at: start)
    var said: [Int] = []
    for second in 0...200 {
      if second == 100 { notice.reset(at: start + .seconds(second)) }
      if let waited = notice.due(at: start + .seconds(second)) {
        #expect(waited == .seconds(second < 100 ? second : second - 100))
        said.append(second)
      }
    }
    #expect(said == [10, 70, 110, 170])
  }
}
