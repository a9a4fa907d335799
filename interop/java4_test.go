package interop

import "testing"

func TestJava4_SendsAndConsumesInOrder(t *testing.T) { sendsAndConsumesInOrder(t, java4) }
func TestJava4_SendsInEveryMode(t *testing.T)        { sendsInEveryMode(t, java4) }
func TestJava4_FiltersByTag(t *testing.T)            { filtersByTag(t, java4) }
func TestJava4_FindsNewTopics(t *testing.T)          { findsNewTopics(t, java4) }
func TestJava4_RefusesUnknownTopics(t *testing.T)    { refusesUnknownTopics(t, java4) }
func TestJava4_PollsAndContinues(t *testing.T)       { pollsAndContinues(t, java4) }
func TestJava4_PollsFromAnyOffset(t *testing.T)      { pollsFromAnyOffset(t, java4) }
func TestJava4_PullsEachStatus(t *testing.T)         { pullsEachStatus(t, java4) }
func TestJava4_SharesAndRebalances(t *testing.T)     { sharesAndRebalances(t, java4) }
func TestJava4_StaysInOrder(t *testing.T)            { staysInOrder(t, java4) }
func TestJava4_Broadcasts(t *testing.T)              { broadcasts(t, java4) }
func TestJava4_ContinuesWhereItWas(t *testing.T)     { continuesWhereItWas(t, java4) }
func TestJava4_StartsWhereToldTo(t *testing.T)       { startsWhereToldTo(t, java4) }
func TestJava4_FindsMessages(t *testing.T)           { findsMessages(t, java4) }
func TestJava4_OutlivesRestarts(t *testing.T)        { outlivesRestarts(t, java4, false) }
func TestJava4_OutlivesKills(t *testing.T)           { outlivesRestarts(t, java4, true) }
func TestJava4_SpeaksCompactHeaders(t *testing.T)    { speaksCompactHeaders(t, java4) }
func TestJava4_SpeaksTLS(t *testing.T)               { speaksTLS(t, java4) }
func TestJava4_UsesSecondPort(t *testing.T)          { usesSecondPort(t, java4) }
func TestJava4_MeetsOverTwoNamesrvs(t *testing.T)    { meetsOverTwoNamesrvs(t, java4) }
func TestJava4_UnderApachesNamesrv(t *testing.T)     { underApachesNamesrv(t, java4, apache) }
func TestJava4_OverApachesBroker(t *testing.T)       { overApachesBroker(t, java4, apache) }
func TestJava4_MovesBetweenBrokers(t *testing.T)     { movesBetweenBrokers(t, java4) }
func TestJava4_ServesFromOneProcess(t *testing.T)    { servesFromOneProcess(t, java4) }
