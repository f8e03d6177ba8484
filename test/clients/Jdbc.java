// Reads the queries of test_clients.py with JDBC: java -cp postgresql.jar Jdbc.java FILE.  What goes in and comes out is told there.

import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

class Jdbc {
	static final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
	static final DateTimeFormatter UTC = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

	public static void main(String[] args) throws Exception {
		Properties properties = new Properties();
		properties.setProperty("user", System.getenv("PGUSER"));
		properties.setProperty("password", System.getenv("PGPASSWORD"));
		properties.setProperty("sslmode", "disable");
		properties.setProperty("gssEncMode", "disable");
		// The server's own prepared statement, and binary transfer, from the first use on.
		properties.setProperty("prepareThreshold", "1");
		String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");

		try (Connection db = DriverManager.getConnection(url, properties)) {
			for (String line : Files.readAllLines(Path.of(args[0]))) {
				String[] step = line.split("\t", 3);
				step(db, step[0], step[1], step[2]);
			}
		} finally {
			out.flush();
		}
	}

	static void step(Connection db, String name, String mode, String sql) throws SQLException {
		// JDBC's own cursor, and those of SQL but for WITH HOLD, live in a transaction.
		db.setAutoCommit(!(mode.equals("fetch") || mode.equals("cursor")));
		try (Statement statement = db.createStatement()) {
			switch (mode) {
			case "run":
				statement.execute(sql);
				break;
			case "plain":
				show(name, statement.executeQuery(sql), true);
				break;
			case "fetch":
				statement.setFetchSize(2);
				show(name, statement.executeQuery(sql), true);
				break;
			case "cursor":
			case "hold":
				statement.execute("DECLARE c CURSOR " + (mode.equals("hold") ? "WITH HOLD " : "") + "FOR " + sql);
				show(name, statement.executeQuery("FETCH 2 FROM c"), true);
				show(name, statement.executeQuery("FETCH ALL FROM c"), false);
				statement.execute("CLOSE c");
				break;
			case "prepared":
				try (PreparedStatement prepared = db.prepareStatement(sql)) {
					show(name, prepared.executeQuery(), true);
					show(name, prepared.executeQuery(), true);
				}
				break;
			default:
				throw new IllegalArgumentException("unknown mode " + mode);
			}
		}
		db.setAutoCommit(true);
	}

	static void show(String name, ResultSet rows, boolean head) throws SQLException {
		ResultSetMetaData meta = rows.getMetaData();
		int columns = meta.getColumnCount();
		if (head)
			line(name, "types", IntStream.rangeClosed(1, columns).mapToObj(i -> type(meta, i)));
		while (rows.next()) {
			line(name, "text", IntStream.rangeClosed(1, columns).mapToObj(i -> text(rows, i)));
			line(name, "native", IntStream.rangeClosed(1, columns).mapToObj(i -> value(rows, meta, i)));
		}
		rows.close();
	}

	static void line(String name, String kind, java.util.stream.Stream<String> values) {
		out.print(name + "\t" + kind + "\t" + values.map(Jdbc::escaped).collect(Collectors.joining("\t")) + "\n");
	}

	static String escaped(String value) {
		if (value == null)
			return "\\N";
		return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
	}

	static String type(ResultSetMetaData meta, int i) {
		try {
			String type = meta.getColumnTypeName(i);
			// Without a typmod the driver says 0, 0.
			return type.equals("numeric") && meta.getPrecision(i) > 0 ? "numeric(" + meta.getPrecision(i) + "," + meta.getScale(i) + ")" : type;
		} catch (SQLException error) {
			throw new RuntimeException(error);
		}
	}

	static String text(ResultSet rows, int i) {
		try {
			return rows.getString(i);
		} catch (SQLException error) {
			throw new RuntimeException(error);
		}
	}

	/** The value as a program takes it; taken in two ways where there are two, which must agree. */
	static String value(ResultSet rows, ResultSetMetaData meta, int i) {
		try {
			if (rows.getObject(i) == null)
				return null;
			switch (meta.getColumnTypeName(i)) {
			case "int4":
			case "int8":
				return Long.toString(rows.getLong(i));
			case "numeric":
				BigDecimal exact = rows.getBigDecimal(i);
				return both(exact.toPlainString(), new BigDecimal(rows.getDouble(i)).setScale(meta.getScale(i), RoundingMode.HALF_EVEN).toPlainString());
			case "bool":
				return rows.getBoolean(i) ? "t" : "f";
			case "date":
				return both(rows.getObject(i, LocalDate.class).toString(), rows.getDate(i).toString());
			case "timestamptz":
				Instant at = rows.getObject(i, OffsetDateTime.class).toInstant();
				return both(UTC.format(at), UTC.format(rows.getTimestamp(i).toInstant()));
			default:
				return rows.getObject(i).toString();
			}
		} catch (SQLException | RuntimeException error) {
			return "error: " + error.getMessage();
		}
	}

	static String both(String one, String other) {
		return one.equals(other) ? one : one + " or " + other;
	}
}
